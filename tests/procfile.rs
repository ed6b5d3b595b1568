//! A Procfile is a stack: found, run, edited while it runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{TestProject, free_port, service};

#[test]
fn a_procfile_runs_and_edits_of_it_are_applied() {
    let project = TestProject::new();
    project.write(
        "Procfile",
        "release: {misbehave} say prepared\n\
         web: exec {misbehave} listen --port $PORT\n\
         my_worker: exec {misbehave} run\n",
    );
    project.write(".env", &format!("PORT={}\n", free_port()));
    let check = project.devstack(["check"]).run().expect_code(0);
    assert_eq!(check.stdout, "app: 3 services, no errors\n");
    let up = project.up();
    let lines = up.lines().join("\n");
    assert!(lines.contains("using Procfile: no devstack.toml found"), "{lines}");
    assert!(lines.contains("run `devstack init`"), "{lines}");
    assert!(lines.contains("Procfile:3: process `my_worker` is service `my-worker`"), "{lines}");
    let ps = project.ps();
    assert_eq!(service(&ps, "release")["phase"], "done");
    assert_eq!(service(&ps, "web")["phase"], "ready");
    assert!(service(&ps, "web")["url"].is_string(), "{ps}");
    let worker = service(&ps, "my-worker");
    assert_eq!((&worker["phase"], &worker["message"]), (&"ready".into(), &serde_json::Value::Null));
    let summary = up.wait_line(|line| line.contains("my-worker  ready"));
    assert!(!summary.contains("http"), "{summary}");
    let pid = service(&ps, "web")["pid"].clone();
    let place = up.here();
    project.write(
        "Procfile",
        "release: {misbehave} say prepared\n\
         web: exec {misbehave} listen --port $PORT\n\
         clock: exec {misbehave} run\n",
    );
    up.wait_since(place, "clock");
    let ps = project.wait_ps(|ps| {
        let services = ps["services"].as_array().expect("a list");
        services.iter().any(|one| one["name"] == "clock" && one["phase"] == "ready")
            && !services.iter().any(|one| one["name"] == "my-worker")
    });
    assert_eq!(service(&ps, "web")["pid"], pid, "it was not restarted");
    up.end();
    up.wait_closed();
    project.finish();
}

#[test]
fn processes_run_the_programs_of_a_virtual_environment() {
    let project = TestProject::new();
    project.write("Procfile", "job: worker\n");
    let explain = || project.devstack(["env", "job", "--explain"]).run().expect_code(0).stdout;
    assert!(!explain().contains("venv"), "there is none");
    project.write(".venv/pyvenv.cfg", "");
    let worker = project.write(".venv/bin/worker", "#!/bin/sh\necho hello\nexec {misbehave} run\n");
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).expect("our file");
    let text = explain();
    let path = text.lines().find(|line| line.starts_with("PATH ")).expect("a line");
    assert!(path.contains(" .venv/bin:") && path.ends_with("Procfile:1 (env)"), "{path}");
    let up = project.devstack(["up"]).start();
    up.wait_for("hello");
    up.end();
    up.wait_closed();
    project.finish();
}

#[test]
fn a_procfile_can_be_named_and_its_mistakes_have_their_lines() {
    let project = TestProject::new();
    project.write("Procfile.test", "one: true\nbroken\n");
    let error = project.devstack(["up", "-f", "Procfile.test"]).run().expect_code(2);
    assert!(
        error.stderr.contains("expected `name: command`\n --> Procfile.test:2:1"),
        "{}",
        error.stderr
    );
    project.write("Procfile.test", "release: {misbehave} say hi\n");
    let ran = project.devstack(["run", "-f", "Procfile.test", "--", "true"]).run().expect_code(0);
    assert!(!ran.stderr.contains("using Procfile"), "{}", ran.stderr);
    project.finish();
}
