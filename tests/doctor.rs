//! `devstack doctor`: what it finds, and that it leaves everything as it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{TestProject, free_port, occupy, require_program};

/// Its findings; checks that its exit code matches.
#[track_caller]
fn doctor(project: &TestProject) -> Value {
    let ended = project.devstack(["doctor", "--json"]).run();
    let found = ended.json();
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.code(), if found["ok"] == true { 0 } else { 1 }, "{found}");
    let wrong = checks(&found).any(|check| check["state"] == "wrong");
    assert_eq!(found["ok"], !wrong, "{found}");
    found
}

fn checks(found: &Value) -> impl Iterator<Item = &Value> {
    found["checks"].as_array().expect("a list").iter()
}

/// The first finding of a check: its state, text and help.
#[track_caller]
fn finding<'a>(found: &'a Value, check: &str) -> (&'a str, &'a str, &'a str) {
    let one = checks(found).find(|one| one["check"] == check);
    let one = one.unwrap_or_else(|| panic!("no {check} in {found}"));
    let text = |key: &str| one[key].as_str().expect("a text");
    (text("state"), text("text"), text("help"))
}

/// Every file below a directory with its text.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("it is ours").map(Result::unwrap) {
        let path = entry.path();
        match entry.file_type().expect("it was just listed").is_dir() {
            true => all.extend(files(&path).into_iter().chain([(path, Vec::new())])),
            false => drop(all.insert(path.clone(), fs::read(path).unwrap_or_default())),
        }
    }
    all
}

#[test]
fn a_healthy_project_is_reported_and_left_unchanged() {
    let project = TestProject::new();
    let port = free_port();
    let text = format!("[services.api]\ncommand = ['{{misbehave}}', 'listen']\nport = {port}\n");
    project.configure(&text);
    let world = project.dir().parent().expect("it has one").to_owned();
    let before = files(&world);
    let found = doctor(&project);
    assert_eq!(files(&world), before, "looking makes nothing");
    assert_eq!(finding(&found, "configuration").1, "app: 1 service");
    for check in ["configuration", "programs", "ports", "project"] {
        assert_eq!(finding(&found, check).0, "ok", "{found}");
    }
    let ended = project.devstack(["doctor"]).run();
    let last = ended.stdout.lines().last().expect("some lines");
    assert!(
        last.starts_with("no problems found") || last.starts_with("errors: "),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("\nok     programs           the programs of all"));

    // Its own port is not held by a stranger while it runs.
    let up = project.devstack(["up"]).start();
    up.wait_for("app is up");
    let found = doctor(&project);
    assert_eq!(finding(&found, "configuration").1, "app: 1 service, running");
    assert_eq!(finding(&found, "ports").0, "ok", "{found}");
    project.end(&up);
}

#[test]
fn what_would_fail_is_found_before() {
    let project = TestProject::new();
    let (moving, strict) = (occupy(free_port()), occupy(free_port()));
    project.configure(&format!(
        "[services.api]\ncommand = ['no-such-program-anywhere']\nport = {}\n\
             [services.web]\ncommand = 'cd web && ./serve'\nport = 40000\n",
        moving.port()
    ));
    let found = doctor(&project);
    let (state, text, help) = finding(&found, "programs");
    assert_eq!(
        (state, text),
        ("wrong", "api: program `no-such-program-anywhere` not found on PATH")
    );
    assert!(help.starts_with("install it"), "{help}");
    let (state, text, _) = finding(&found, "ports");
    assert_eq!(state, "note");
    assert!(text.starts_with(&format!("api: port {} is in use by ", moving.port())), "{text}");
    assert!(text.contains(&format!("(pid {}", std::process::id())), "{text}");

    let text = format!(
        "[services.api]\ncommand = 'true'\nport = {{ prefer = {}, on_conflict = 'fail' }}\n",
        strict.port()
    );
    project.configure(&text);
    let found = doctor(&project);
    let (state, text, help) = finding(&found, "ports");
    assert_eq!(state, "wrong");
    assert!(text.contains(&format!("port {} is in use by ", strict.port())), "{text}");
    assert!(!help.is_empty());

    if require_program("node").is_some() {
        project.configure("[services.api]\npreset = 'node'\nport = 'auto'\n");
        project.write("package.json", r#"{ "dependencies": { "express": "4" } }"#);
        let found = doctor(&project);
        let (state, text, help) = finding(&found, "programs");
        assert_eq!(
            (state, text),
            ("wrong", "api: the packages of its package.json are not installed")
        );
        assert_eq!(help, format!("run `npm install` in `{}`", project.dir().display()));
        fs::create_dir(project.path("node_modules")).expect("the project is ours");
        assert_eq!(finding(&doctor(&project), "programs").0, "ok");
    }

    project.configure("[services.api]\ncomand = 'true'\n");
    let found = doctor(&project);
    let (state, text, help) = finding(&found, "configuration");
    assert_eq!(state, "wrong");
    assert!(text.starts_with("devstack.toml:2:1: unknown key `comand` in a service"), "{text}");
    assert_eq!(help, "run `devstack check` to see all errors");

    fs::remove_file(project.path("devstack.toml")).expect("it is there");
    assert_eq!(finding(&doctor(&project), "configuration").0, "note");
    project.finish();
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_killed_devstack_left_is_named_and_down_ends_it() {
    use crate::support::{eventually, leave_behind, misbehaving};
    let project = TestProject::new();
    let config = r#"
        [services.api]
        command = """
            until test -e go; do sleep 0.02; done
            exec {misbehave} tree setsid"""
        "#;
    project.configure(config);
    let up = project.devstack(["up"]).start();
    up.wait_for("app is up");
    leave_behind(&up, &project, &project.path(""), &["| ready"]);
    // The main process dies with the guard.
    let pid = eventually("one to be left", || {
        let left = misbehaving(&project);
        (left.len() == 1).then(|| left[0].pid)
    });
    let record = project.path(".devstack/runs.json");
    let found = doctor(&project);
    let (state, text, help) = finding(&found, "leftovers");
    assert_eq!(state, "wrong");
    assert!(text.contains(&format!("(pid {pid})")), "{text}");
    assert!(help.ends_with("/app && devstack down`"), "{help}");
    let (state, text, _) = finding(&found, "stale-sockets");
    assert_eq!(state, "note");
    assert!(text.contains(".sock"), "{text}");
    // From anywhere: the lock file has its directory.
    let elsewhere = project.devstack(["doctor", "--json"]).dir("..").run().json();
    assert!(elsewhere.to_string().contains(&format!("(pid {pid})")), "{elsewhere}");

    project.devstack(["down"]).run().expect_code(0);
    project.sockets_must_go();
    let found = doctor(&project);
    assert!(!found.to_string().contains(&format!("(pid {pid})")), "{found}");

    // An invalid record is reported and stays.
    fs::write(&record, "nonsense").expect("the project is ours");
    let (state, text, _) = {
        let found = doctor(&project);
        let (state, text, help) = finding(&found, "leftovers");
        (state.to_owned(), text.to_owned(), help.to_owned())
    };
    assert_eq!(state, "wrong");
    assert!(text.contains("is corrupt"), "{text}");
    assert_eq!(fs::read_to_string(&record).expect("it stays"), "nonsense");
    fs::remove_file(record).expect("it is ours");
    project.finish();
}
