//! The stacks that people are shown, run as people run them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{
    TestProject, eventually, lock_usual_ports, require, require_program, service, try_http_get,
};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies a directory, without what was built or installed in it.
fn copy(from: &Path, to: &Path) {
    const MADE: [&str; 6] = [".devstack", ".venv", "__pycache__", "data", "node_modules", "target"];
    fs::create_dir_all(to).expect("the project is ours");
    for entry in fs::read_dir(from).expect("it is in the repository").map(Result::unwrap) {
        let name = entry.file_name();
        let target = to.join(&name);
        match entry.file_type().expect("it was just listed").is_dir() {
            true if MADE.iter().any(|made| name == *made) => {}
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("the project is ours")),
        }
    }
}

/// The number that a service got.
fn port(ps: &Value, name: &str) -> u16 {
    let port = service(ps, name)["port"].as_u64().and_then(|port| port.try_into().ok());
    port.unwrap_or_else(|| panic!("{name} has no port in {ps}"))
}

/// Waits until the service there answers with this text, as it does some time after an edit.
#[track_caller]
fn wait_answer(port: u16, path: &str, text: &str) {
    eventually(&format!("{text:?} from port {port}{path}"), || {
        let reply = try_http_get("127.0.0.1", port, path).ok()?;
        (reply.status == 200 && reply.body.contains(text)).then_some(())
    });
}

/// Changes a text in a source file, as an editor does.
fn edit(file: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(file).expect("it is there");
    assert!(text.contains(old), "no {old:?} in {}", file.display());
    fs::write(file, text.replace(old, new)).expect("the project is ours");
}

#[test]
fn every_example_passes_the_check() {
    let dirs = fs::read_dir(repository().join("examples")).expect("it is in the repository");
    let dirs = dirs.map(|entry| entry.expect("readable").path()).chain([repository().into()]);
    let files: Vec<PathBuf> =
        dirs.map(|dir| dir.join("devstack.toml")).filter(|file| file.is_file()).collect();
    assert!(files.len() >= 2, "{files:?}");
    let project = TestProject::new();
    for file in files {
        let ended = project.devstack(["check", "-f"]).args([&file]).run().expect_code(0);
        assert_eq!(ended.stderr, "", "{}", file.display());
    }
    project.finish();
}

#[test]
fn notes_is_built_runs_and_shows_an_edit() {
    let _alone = lock_usual_ports();
    let project = TestProject::new();
    fs::copy(repository().join("devstack.toml"), project.path("devstack.toml"))
        .expect("both are ours");
    copy(&repository().join("examples/notes"), &project.path("examples/notes"));
    let up = project.devstack(["up"]).with_cargo().start();
    up.wait_for("build  * completed");
    up.wait_for("notes is up");

    let ps = project.ps();
    let api = port(&ps, "api");
    wait_answer(api, "/", "hello from the notes API");
    wait_answer(port(&ps, "page"), "/health", "");
    let pids = |ps: &Value| ["worker", "page"].map(|name| service(ps, name)["pid"].clone());
    let before = pids(&ps);

    let source = project.path("examples/notes/src/bin/api.rs");
    edit(&source, "hello from the notes API\"", "broken while it runs");
    up.wait_for("api    * `cargo build --quiet --bin api` failed (exit ");
    wait_answer(api, "/", "hello from the notes API");
    let failed = project.wait_ps(|ps| !service(ps, "api")["message"].is_null());
    assert_eq!(service(&failed, "api")["pid"], service(&ps, "api")["pid"], "it goes on");
    edit(&source, "broken while it runs", "edited while it runs\"");
    up.wait_for("api    * restarting: examples/notes/src/bin/api.rs changed");
    wait_answer(api, "/", "edited while it runs");
    assert_eq!(pids(&project.ps()), before, "only the API was restarted");
    project.end(&up);
}

/// The shop as a copy, with what was installed for the original. `None`: it is not set up on this machine.
fn shop() -> Option<TestProject> {
    let original = repository().join("examples/flask-shop");
    let (venv, modules) = (original.join(".venv"), original.join("web/node_modules"));
    let there = venv.join("installed").is_file() && modules.join(".installed").is_file();
    if !require("flask-shop set up (examples/flask-shop/setup.sh)", there) {
        return None;
    }
    let project = TestProject::new();
    copy(&original, &project.dir());
    symlink(venv, project.path(".venv")).expect("it is new");
    symlink(modules, project.path("web/node_modules")).expect("it is new");
    // For root the database runs as another user, which must reach its directory.
    let root = project.dir().parent().expect("the project has a root").to_owned();
    fs::set_permissions(root, fs::Permissions::from_mode(0o711)).expect("it is ours");
    let data = project.outside("tmp").join("shop/db");
    let local = format!("services.db.env.DEVSTACK_DATA = {data:?}\n");
    project.write("devstack.local.toml", &local);
    Some(project)
}

/// Another Flask and another PostgreSQL. If their ports are taken already, that works too.
fn strangers() -> [Option<TcpListener>; 2] {
    [5000, 5432].map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
}

#[test]
fn flask_shop_runs_beside_strangers_and_shows_an_edit() {
    let _alone = lock_usual_ports();
    let Some(project) = shop() else { return };
    let _strangers = strangers();
    let up = project.devstack(["up"]).start();
    up.wait_for("flask-shop is up");
    let ps = project.ps();
    for (name, phase) in [
        ("api", "ready"),
        ("db", "ready"),
        ("migrate", "done"),
        ("redis", "ready"),
        ("web", "ready"),
        ("worker", "ready"),
    ] {
        assert_eq!(service(&ps, name)["phase"], phase, "{ps}");
    }
    for (name, wanted) in [("api", 5000), ("db", 5432)] {
        assert_eq!(service(&ps, name)["wanted_port"], wanted);
        assert_ne!(port(&ps, name), wanted);
        up.wait_for(&format!("port {wanted} is in use by "));
    }
    let url = |name: &str| service(&ps, name)["url"].as_str().expect("it has one").to_owned();
    let client = || {
        let client = project.program(project.path("client.py"));
        client.env("DEVSTACK_API_URL", url("api")).env("DEVSTACK_WEB_URL", url("web")).run()
    };
    client().expect_code(0);

    edit(&project.path("api/app.py"), "welcome to the shop", "edited while it runs");
    wait_answer(port(&ps, "api"), "/", "edited while it runs");
    wait_answer(port(&ps, "web"), "/api/", "edited while it runs");
    up.wait_for("api     * restarting: api/app.py changed");
    assert!(client().expect_code(0).stdout.contains("edited while it runs"));
    project.end(&up);
}

#[test]
fn flask_shop_is_a_test_too() {
    let _alone = lock_usual_ports();
    let Some(project) = shop() else { return };
    let _strangers = strangers();
    let run = project.devstack(["run", "--no-strict-ports", "--", "./client.py"]);
    let ended = run.run().expect_code(0);
    assert!(ended.stdout.contains("the page reaches the API"), "{}", ended.stdout);
    // With strict ports, as usual for a test, the stranger is named and nothing is started.
    let run = project.devstack(["run", "--", "./client.py"]);
    let ended = run.run().expect_code(120);
    assert!(ended.stderr.contains("port 5432 is in use by "), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    project.finish();
}

/// A copy of an example, with packages that were installed for other tests. `None`: they are not.
fn linked(example: &str, packages: &[(&str, &str)]) -> Option<TestProject> {
    for (installed, _) in packages {
        let installed = repository().join(installed);
        require(&installed.display().to_string(), installed.exists()).then_some(())?;
    }
    let project = TestProject::new();
    copy(&repository().join("examples").join(example), &project.dir());
    for (installed, name) in packages {
        symlink(repository().join(installed), project.path(name)).expect("it is new");
    }
    Some(project)
}

#[test]
fn vite_fastapi_shows_an_edit_of_the_api_on_the_page() {
    let _alone = lock_usual_ports();
    let packages = [
        ("target/presets/.venv", ".venv"),
        ("examples/flask-shop/web/node_modules", "web/node_modules"),
    ];
    let Some(project) = linked("vite-fastapi", &packages) else { return };
    let up = project.devstack(["up"]).start();
    up.wait_for("vite-fastapi is up");
    let web = port(&project.ps(), "web");
    wait_answer(web, "/", "<h1>Tasks</h1>");
    wait_answer(web, "/api/tasks", "write the API");
    edit(&project.path("api/main.py"), "write the API", "edited while it runs");
    wait_answer(web, "/api/tasks", "edited while it runs");
    project.end(&up);
}

#[test]
fn express_nginx_serves_files_and_passes_the_rest_to_the_app() {
    let _alone = lock_usual_ports();
    if require_program("nginx").is_none() {
        return;
    }
    let packages = [("target/presets/node_modules", "app/node_modules")];
    let Some(project) = linked("express-nginx", &packages) else { return };
    // For root nginx uses another user, which must reach the files.
    let root = project.dir().parent().expect("the project has a root").to_owned();
    fs::set_permissions(root, fs::Permissions::from_mode(0o711)).expect("it is ours");
    let up = project.devstack(["up"]).start();
    up.wait_for("express-nginx is up");
    let ps = project.ps();
    let proxy = port(&ps, "proxy");
    wait_answer(proxy, "/style.css", "sans-serif");
    wait_answer(proxy, "/", &format!("http://localhost:{proxy}"));
    edit(&project.path("app/index.js"), "Hello from Express", "edited while it runs");
    wait_answer(proxy, "/", "edited while it runs");
    assert_eq!(service(&project.ps(), "proxy")["pid"], service(&ps, "proxy")["pid"]);
    project.end(&up);
}

#[test]
fn workspace_restarts_what_an_edit_concerns() {
    let _alone = lock_usual_ports();
    let Some(project) = linked("workspace", &[]) else { return };
    let up = project.devstack(["up"]).with_cargo().start();
    up.wait_for("workspace is up");
    let ps = project.ps();
    let page = port(&ps, "page");
    wait_answer(page, "/", "<h1>hello from a workspace</h1>");
    edit(&project.path("crates/api/src/main.rs"), "hello from a workspace", "edited");
    wait_answer(page, "/", "<h1>edited</h1>");
    let restarts = |name| service(&project.ps(), name)["restarts"].as_u64();
    assert_eq!((restarts("api"), restarts("page")), (Some(1), Some(0)));
    edit(&project.path("crates/web/src/lib.rs"), "listening on", "edited: listening on");
    for name in ["api ", "page"] {
        up.wait_for(&format!("{name}  | edited: listening on"));
    }
    project.end(&up);
}

#[test]
fn the_story_of_worktrees_is_true() {
    let _alone = lock_usual_ports();
    if require_program("git").is_none() {
        return;
    }
    let story = repository().join("examples/worktrees/story.sh");
    let project = TestProject::new();
    let told = project.program(story).env("DEVSTACK", env!("CARGO_BIN_EXE_devstack")).run();
    let text = told.expect_code(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    let pages: Vec<_> = lines.windows(2).filter(|pair| pair[0].starts_with("$ curl ")).collect();
    let [[here, hello], [there, edited]] = pages[..] else { panic!("{text}") };
    assert_ne!(here, there, "each has a port of its own");
    assert_eq!((*hello, *edited), ("hello from main", "hello from the feature"));
    project.finish();
}

#[test]
fn passing_serves_all_three_and_restarts_them() {
    let _alone = lock_usual_ports();
    let original = repository().join("examples/passing");
    let there = original.join(".venv/installed").is_file();
    if !require("examples/passing set up (examples/passing/setup.sh)", there) {
        return;
    }
    let project = TestProject::new();
    copy(&original, &project.dir());
    symlink(original.join(".venv"), project.path(".venv")).expect("it is new");
    let up = project.devstack(["up"]).start();
    up.wait_for("app is up");
    let ps = project.ps();
    let names = ["async", "page", "web"];
    let before = names.map(|name| (port(&ps, name), service(&ps, name)["pid"].clone()));
    for (port, _) in &before {
        wait_answer(*port, "/", "pid ");
    }
    project.devstack(["restart"]).args(names).run().expect_code(0);
    let ps = project.ps();
    for (name, (number, pid)) in names.into_iter().zip(before) {
        assert_eq!(port(&ps, name), number);
        assert_ne!(service(&ps, name)["pid"], pid);
        wait_answer(number, "/", "pid ");
    }
    project.end(&up);
}

#[test]
fn the_story_of_ports_is_true() {
    let _alone = lock_usual_ports();
    let story = repository().join("examples/ports/story.sh");
    let project = TestProject::new();
    let told = project.program(story).env("DEVSTACK", env!("CARGO_BIN_EXE_devstack")).run();
    let text = told.expect_code(0).stdout;
    // If another process has port 5000 already, that is the holder, and it is not killed.
    let ours = !text.contains("Another process on this machine already uses it");
    let lines: Vec<&str> = text.lines().collect();
    let after = |what: &str| {
        let at = lines.iter().position(|line| line.starts_with(what));
        at.map(|at| &lines[at + 1..]).unwrap_or_else(|| panic!("no {what:?} in:\n{text}"))
    };
    let ready = |lines: &[&str], service: &str| {
        let start = format!("{service:<8} * ready in ");
        let line = lines.iter().find(|line| line.starts_with(&start)).expect("it is ready");
        line.rsplit_once(' ').expect("it ends with the URL").1.to_owned()
    };
    let (one, two) = (after("# The stack starts"), after("# A second copy"));
    assert!(text.contains(": port 5000 is in use by "), "{text}");
    assert_eq!(text.contains("server.py, in ") && text.contains("/old-app, for "), ours, "{text}");
    let ports = [one, two].map(|lines| ["api", "web"].map(|name| ready(lines, name)));
    let all: std::collections::BTreeSet<&String> = ports.iter().flatten().collect();
    assert_eq!(all.len(), 4, "{ports:?}");

    // Each page reaches the API of its own stack.
    for [api, web] in &ports {
        let page = after(&format!("$ curl {web}"));
        let number = |url: &str| url.rsplit(':').next().expect("a port").to_owned();
        let expected =
            [format!("web on port {}", number(web)), format!("api on port {}", number(api))];
        assert_eq!(page[..2], expected);
    }
    let stubborn = after("# A service that ignores");
    let told = "was given PORT=5050 but is listening on 5055: pass $PORT after http.server";
    assert_eq!(stubborn[1], format!("error: not ready yet after 3s: {told}"));
    assert!(text.contains(&format!("stubborn * {told}")), "{text}");
    assert!(stubborn.iter().any(|line| line.contains("5055 (assigned 5050)")), "{text}");

    // The other one is first now, and both have what they had.
    let again = after("# A directory gets");
    let up = |dir: &str| {
        let command = format!("$ cd {dir}; devstack up");
        again.iter().position(|line| *line == command).expect("it starts")
    };
    let (second, first) = (up("shop-2"), up("shop"));
    assert!(second < first);
    for (lines, ports) in [(&again[second..first], &ports[1]), (&again[first..], &ports[0])] {
        assert_eq!(&["api", "web"].map(|name| ready(lines, name)), ports);
    }
    if ours {
        let killed = after("$ devstack ports 5000 --kill --yes");
        assert!(killed[0].starts_with("terminated ") && killed[1] == "port 5000 is free", "{text}");
        assert_eq!(ready(killed, "api"), "http://127.0.0.1:5000");
    }
    assert!(!text.contains(&repository().display().to_string()), "it leaves the directory alone");
    project.finish();
}
