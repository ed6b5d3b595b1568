//! Stacks in linked git worktrees.

use serde_json::Value;

use crate::support::{TestProject, idler};

/// A project in a linked worktree `app`, whose main worktree is `home/main`.
fn linked() -> TestProject {
    let project = TestProject::new();
    let main = project.outside("home").join("main");
    let state = main.join(".git/worktrees/app");
    project.write(main.join(".env"), "TOKEN=main\n");
    project.write(state.join("commondir"), "../..\n");
    project.write(".git", &format!("gitdir: {}\n", state.display()));
    project.write(".gitignore", ".env\n");
    project.configure(&idler("api", ""));
    project
}

#[test]
fn an_ignored_env_file_comes_from_the_main_worktree() {
    let project = linked();
    let main = project.outside("home").join("main/.env");
    let up = project.devstack(["up"]).start();
    up.wait_for(&format!("`.env` is missing in this git worktree; using `{}`", main.display()));
    up.wait_for("is up");
    let explain = || project.devstack(["env", "api", "--explain"]).run().expect_code(0).stdout;
    let from = format!("{}:1 of the main worktree (stack env_file)", main.display());
    assert!(explain().contains(&from), "{}", explain());
    let view = project.devstack(["env", "api", "--json"]).run().expect_code(0).json();
    let variables = view["variables"].as_array().expect("a list");
    let token = variables.iter().find(|one| one["name"] == "TOKEN").expect("it is set");
    assert_eq!((&token["value"], &token["main_worktree"]), (&"main".into(), &true.into()));

    // An edit there applies live, and so does a file of its own.
    let here = up.here();
    project.write(&main, "TOKEN=new\n");
    up.wait_since(here, "restart: env changed: TOKEN");
    let here = up.here();
    project.write(".env", "TOKEN=own\n");
    up.wait_since(here, "restart: env changed: TOKEN");
    up.wait_since(here, "| ready");
    assert!(!explain().contains("main worktree"), "{}", explain());
    up.interrupt();
    assert_eq!(up.wait_code(), 130);
    project.finish();
}

#[test]
fn stacks_of_one_repository_are_listed_together() {
    let project = linked();
    let main = project.outside("home").join("main");
    let alone = project.outside("home").join("alone");
    for dir in [&main, &alone] {
        project.write(dir.join("devstack.toml"), &idler("api", ""));
    }
    let start = |dir| {
        let up = project.devstack(["up"]).dir(dir).start();
        up.wait_for("is up");
        up
    };
    let ups = [&project.dir(), &main, &alone].map(start);
    let runtime = project.outside("run").join("devstack");
    let all = |args: &[&str]| {
        let all = project.devstack(["ps", "--all"]).args(args);
        all.env("DEVSTACK_RUNTIME_DIR", &runtime).run().expect_code(0)
    };
    let answer = all(&["--json"]).json();
    let stacks = answer["stacks"].as_array().expect("a list");
    let grouped: Vec<(&Value, &Value)> =
        stacks.iter().map(|stack| (&stack["repository"], &stack["stack"])).collect();
    let repository = Value::from(main.display().to_string());
    assert_eq!(
        grouped,
        [
            (&repository, &"app".into()),
            (&repository, &"main".into()),
            (&Value::Null, &"alone".into())
        ]
    );
    let table = all(&[]).stdout;
    let starts: Vec<Vec<&str>> =
        table.lines().map(|line| line.split("   ").map(str::trim).take(2).collect()).collect();
    assert!(table.starts_with("REPOSITORY   STACK"), "{table}");
    assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("~/main")), "{table}");
    assert!(table.lines().nth(2).is_some_and(|line| line.starts_with("   ")), "{table}");
    assert_eq!(starts[3][0], "-", "{table}");
    for up in ups {
        up.interrupt();
        assert_eq!(up.wait_code(), 130);
    }
    project.finish();
}

#[test]
fn exports_name_the_env_file_of_the_main_worktree() {
    let project = linked();
    let env = "[services.api.env]\nURL = '${TOKEN}'\n";
    project.configure(&(project.read("devstack.toml") + env));
    let main = project.outside("home").join("main/.env").display().to_string();
    let units = project.devstack(["export", "systemd"]).run().expect_code(0).stdout;
    assert!(units.contains(&format!("EnvironmentFile=-{main}\n")), "{units}");
    let compose = project.devstack(["export", "compose"]).run().expect_code(0).stdout;
    assert!(compose.contains("main/.env") && !compose.contains("./.env"), "{compose}");
    assert!(compose.contains("use `docker compose --env-file "), "{compose}");
    project.finish();
}
