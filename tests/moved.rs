//! What happens to the files of devstack itself while it runs.

use std::fs;

use crate::support::{MarkerLog, TestProject, eventually, idler, service};

/// `git clean -fdx` removes the state directory: what is written next creates it again.
#[test]
fn a_removed_state_directory_is_created_again() {
    let project = TestProject::with_config(
        "[services.api]\ncommand = [\"{misbehave}\", \"marker\", \"markers\"]\n",
    );
    let up = project.up();
    fs::remove_dir_all(project.path(".devstack")).expect("it was there");
    let mut runs = 1;
    // The log looks for its files once a second.
    eventually("a log in the new directory", || {
        project.devstack(["restart", "api"]).run().expect_code(0);
        runs += 1;
        // Otherwise the next restart could be faster than the service.
        MarkerLog::wait_starts(&project.path("markers"), "api", runs);
        let log = fs::read_to_string(project.path(".devstack/logs/api.log")).ok()?;
        log.contains("ready").then_some(())
    });
    eventually("the record of runs", || project.path(".devstack/runs.json").exists().then_some(()));
    assert_eq!(project.read(".devstack/.gitignore"), "*\n");
    up.end();
    let logs = project.devstack(["logs"]).run().expect_code(0).stdout;
    assert!(logs.contains("api | ready"), "{logs}");
    assert!(!up.lines().iter().any(|line| line.contains("cannot")), "{:?}", up.lines());
    project.finish();
}

/// A service that says where its data is.
fn api(more: &str) -> String {
    format!(
        "[services.api]\ncommand = \"echo data in $DATA; exec {{misbehave}} run\"\nwatch = [\"src\"]\nenv = {{ DATA = \"${{stack.dir}}/data\"{more} }}\nhealth = {{ exec = [\"test\", \"-d\", \"${{stack.dir}}/src\"], interval = \"100ms\" }}\n"
    )
}

fn pid(project: &TestProject, dir: &str) -> serde_json::Value {
    let ps = project.devstack(["ps", "--json"]).dir(dir).run().expect_code(0).json();
    assert_eq!(ps["dir"], project.path(dir).to_string_lossy().as_ref());
    service(&ps, "api")["pid"].clone()
}

/// Removes a directory in which devstack writes at any time.
fn remove(project: &TestProject, dir: &str) {
    eventually("an empty directory", || fs::remove_dir_all(project.path(dir)).ok());
}

#[test]
fn a_renamed_project_directory_is_followed() {
    let project = TestProject::new();
    project.write("one/devstack.toml", &api(""));
    project.write("one/src/main", "1");
    let up = project.devstack(["up"]).dir("one").start();
    up.wait_for("is up");
    up.wait_for(&format!("data in {}/data", project.path("one").display()));
    let before = pid(&project, "one");
    fs::rename(project.path("one"), project.path("two")).expect("it is free");
    let two = project.path("two").display().to_string();
    up.wait_for(&format!("the project directory is now {two}; services keep running"));
    assert_eq!(pid(&project, "two"), before, "it goes on");
    let restarts: [(&str, &dyn Fn()); 3] = [
        ("restart", &|| {
            drop(project.devstack(["restart", "api"]).dir("two").run().expect_code(0));
        }),
        ("restarting: src/main changed", &|| {
            project.write("two/src/main", "2");
        }),
        ("applied the new configuration", &|| {
            project.write("two/devstack.toml", &api(", MORE = \"1\""));
        }),
    ];
    for (said, restart) in restarts {
        let here = up.here();
        restart();
        if said != "restart" {
            up.wait_since(here, said);
        }
        up.wait_since(here, &format!("data in {two}/data"));
        up.wait_since(here, "api | ready");
    }
    let lines = up.lines();
    let wrong = ["not applied", "unhealthy", "cannot", "No such"];
    assert!(!lines.iter().any(|line| wrong.iter().any(|wrong| line.contains(wrong))), "{lines:?}");
    // Back again, and then stopped from there.
    fs::rename(project.path("two"), project.path("one")).expect("it is free");
    up.wait_for(&format!("the project directory is now {}", project.path("one").display()));
    let record = fs::read_to_string(project.path("one/.devstack/lock")).expect("it is there");
    assert!(record.contains("\"pid\""), "{record}");
    project.devstack(["down"]).dir("one").run().expect_code(0);
    up.wait_exit();
    project.finish();
}

/// Nothing reports the rename of a directory above; and another project may take the former path.
#[test]
fn a_project_below_a_renamed_directory_writes_nothing_at_its_former_path() {
    let project = TestProject::new();
    project.write("code/shop/devstack.toml", &api(""));
    project.write("code/shop/src/main", "1");
    let up = project.devstack(["up", "--no-watch"]).dir("code/shop").start();
    up.wait_for("is up");
    fs::rename(project.path("code"), project.path("work")).expect("it is free");
    fs::create_dir_all(project.path("code/shop")).expect("it is free");
    project.devstack(["restart", "api"]).dir("work/shop").run().expect_code(0);
    up.wait_for(&format!("data in {}/data", project.path("work/shop").display()));
    remove(&project, "work/shop/.devstack");
    eventually("the log and the record in the new place", || {
        project.devstack(["restart", "api"]).dir("work/shop").run().expect_code(0);
        let log = fs::read_to_string(project.path("work/shop/.devstack/logs/api.log")).ok()?;
        let record = project.path("work/shop/.devstack/runs.json").exists();
        (record && log.contains("data in")).then_some(())
    });
    let found = fs::read_dir(project.path("code/shop")).expect("it is there").count();
    assert_eq!(found, 0, "of another project");
    up.end();
    assert!(!project.path("work/shop/.devstack/runs.json").exists());
    project.finish();
}

#[test]
fn a_second_stack_is_refused_after_the_state_directory_was_removed() {
    for options in [&["up"][..], &["up", "--no-watch"]] {
        let project = TestProject::new();
        let file = idler("api", "");
        project.configure(&file);
        let up = project.devstack(options).start();
        up.wait_for("is up");
        let watches = options.len() == 1;
        if watches {
            // From the first edit that is seen on, everything is.
            project.configure(&(file + &idler("other", "")));
            up.wait_for("applied the new configuration");
        }
        remove(&project, ".devstack");
        if !watches {
            project.devstack(["restart", "api"]).run().expect_code(0);
            eventually("the lock", || project.path(".devstack/lock").exists().then_some(()));
        }
        let other = project.outside("other");
        fs::create_dir(&other).expect("it is free");
        let mut second = project.devstack(["up"]).unset("XDG_RUNTIME_DIR").unset("XDG_STATE_HOME");
        for name in ["HOME", "TMPDIR"] {
            second = second.env(name, &other);
        }
        let refused = second.run();
        assert!(refused.stderr.contains("already running in this directory"), "{}", refused.stderr);
        project.end(&up);
    }
}
