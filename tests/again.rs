//! `up -d` where a stack already runs: it is what was asked for, becomes it, or says why it cannot.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use serde_json::Value;

use crate::support::{
    MarkerLog, RunningProgram, Signal, TestProject, free_port, free_ports, occupy, service,
};

/// `api` is ready when a gate is open; `spare` starts only on request, and needs `cache`.
const SHOP: &str = r#"
    [stack]
    name = "shop"
    [services.api]
    command = ["{misbehave}", "--stay", "say", "one", "--after-gate", "gate", "up"]
    ready = { log = "up" }
    [services.worker]
    command = ["{misbehave}", "marker", "marks", "--trap"]
    [services.cache]
    command = ["{misbehave}", "run"]
    autostart = false
    [services.spare]
    command = ["{misbehave}", "run"]
    autostart = false
    depends_on = ["cache"]
    "#;

/// A stack whose gate is open, in the background.
fn shop(args: &[&str]) -> TestProject {
    let project = TestProject::with_config(SHOP);
    project.write("gate", "");
    project.devstack(["up", "-d"]).args(args).run().expect_code(0);
    project
}

fn pid(project: &TestProject) -> Value {
    project.ps()["supervisor_pid"].clone()
}

fn phase(project: &TestProject, name: &str) -> Value {
    service(&project.ps(), name)["phase"].clone()
}

fn down(project: TestProject) {
    project.devstack(["down"]).run().expect_code(0);
    project.finish();
}

#[test]
fn what_runs_already_is_success_and_what_is_missing_is_added() {
    let project = shop(&[]);
    let first = pid(&project);
    let again = project.devstack(["up", "-d"]).run().expect_code(0);
    let said = format!(
        "* already running (pid {first}); follow with `devstack logs -f`, stop with `devstack down`\n"
    );
    assert!(again.stdout.ends_with(&said), "{again:?}");
    assert_eq!(again.stderr, "");
    let quiet = project.devstack(["up", "-d", "--output", "json"]).run().expect_code(0);
    assert_eq!((quiet.stdout, quiet.stderr), (String::new(), String::new()));

    project.devstack(["up", "-d", "api"]).run().expect_code(0);
    assert_eq!(phase(&project, "spare"), "idle");
    project.devstack(["up", "-d", "spare"]).run().expect_code(0);
    assert_eq!([phase(&project, "spare"), phase(&project, "cache")], ["ready", "ready"]);
    project.devstack(["stop", "worker"]).run().expect_code(0);
    project.devstack(["up", "-d"]).run().expect_code(0);
    assert_eq!(phase(&project, "worker"), "ready");
    assert_eq!(pid(&project), first);
    let unknown = project.devstack(["up", "-d", "apu"]).run().expect_code(3);
    assert!(unknown.stderr.contains("did you mean `api`?"), "{unknown:?}");
    down(project);
}

#[test]
fn twenty_at_once_are_one_stack() {
    let project = TestProject::with_config(SHOP);
    project.write("gate", "");
    let all: Vec<RunningProgram> =
        (0..20).map(|_| project.devstack(["up", "-d"]).start()).collect();
    let codes: Vec<i32> = all.iter().map(RunningProgram::wait_code).collect();
    all.iter().for_each(RunningProgram::wait_closed);
    let errors: Vec<String> = all.iter().map(RunningProgram::stderr).collect();
    assert_eq!(codes, [0; 20], "{errors:#?}");
    let joined = all.iter().filter(|one| one.stdout().contains("already running (pid ")).count();
    assert_eq!(joined, 19);
    assert_eq!(project.ps()["state"], "up");
    project.devstack(["down"]).run().expect_code(0);
    assert_eq!(MarkerLog::read(&project.path("marks")).count("start", "worker"), 1);
    project.finish();
}

#[test]
fn it_waits_as_the_first_one_does() {
    let project = TestProject::with_config(SHOP);
    let mut gate = project.gate("gate");
    let first = project.devstack(["up", "-d"]).start();
    first.wait_for("api    * starting");
    let late = project.devstack(["up", "-d", "--timeout", "300ms"]).run().expect_code(1);
    assert!(late.stderr.contains("not ready within 300ms: api is starting"), "{late:?}");
    assert!(late.stderr.contains("the stack keeps running"), "{late:?}");
    let again = project.devstack(["up", "-d"]).start();
    again.wait_for("waiting for api: starting");
    assert!(again.is_running());
    gate.open();
    assert_eq!([first.wait_code(), again.wait_code()], [0, 0]);
    drop((first, again));
    down(project);
}

#[test]
fn a_failure_is_the_same_each_time_and_tried_each_time() {
    let project = TestProject::with_config(
        "[services.bad]\ncommand = 'test -e fixed && exec {misbehave} run'\nrestart = 'no'\nready = { log = 'ready' }\n\
         [services.good]\ncommand = ['{misbehave}', 'run']\n",
    );
    let first = project.devstack(["up", "-d"]).run().expect_code(1);
    let again = project.devstack(["up", "-d"]).run().expect_code(1);
    assert!(again.stderr.contains("error: not all services are ready: bad failed\n"), "{again:?}");
    assert!(again.stderr.ends_with(&first.stderr), "{again:?}");
    project.devstack(["up", "-d", "good"]).run().expect_code(0);
    project.write("fixed", "");
    project.devstack(["up", "-d"]).run().expect_code(0);
    down(project);
}

#[test]
fn what_contradicts_is_named_and_changes_nothing() {
    let project = TestProject::new();
    let wanted = free_ports(3);
    // The next one is what it moves to.
    let other = wanted + 2;
    let taken = occupy(wanted);
    let file = format!(
        "[services.api]\ncommand = ['{{misbehave}}', 'listen']\nport = {wanted}\n\
         debug = {{ command = ['{{misbehave}}', 'listen'], port = 'auto' }}\n\
         [services.db]\ncommand = ['{{misbehave}}', 'run']\nautostart = false\n\
         [services.web]\ncommand = ['{{misbehave}}', 'run']\nautostart = false\ndepends_on = ['db']\n"
    );
    project.configure(&file);
    project.write("other.toml", &file);
    project.devstack(["up", "-d"]).run().expect_code(0);
    drop(taken);
    let before = pid(&project);
    let port = service(&project.ps(), "api")["port"].clone();
    let pinned = format!("api={other}");
    for (args, text) in [
        (&["-f", "other.toml"][..], "it uses devstack.toml, not other.toml".to_owned()),
        (&["--port", &pinned], format!("`--port` asks for port {other} for api, which has {port}")),
        (
            &["--strict-ports"],
            format!("`--strict-ports` asks for port {wanted} for api, which has {port}"),
        ),
        (&["--host", "127.0.0.2"], "api binds to 127.0.0.1, not to 127.0.0.2".to_owned()),
        (&["--lan"], "api binds to 127.0.0.1, not to 0.0.0.0".to_owned()),
        (&["--debug"], "api is not in debug mode (run `devstack debug api`)".to_owned()),
        (&["--no-watch"], "it watches files, despite `--no-watch`".to_owned()),
        (&["--no-deps", "web"], "only with their dependencies, despite `--no-deps`".to_owned()),
    ] {
        let refused = project.devstack(["up", "-d"]).args(args).run().expect_code(4);
        assert!(refused.stderr.contains(&text), "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("help: run `devstack down` first"), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    // The same in other words is no contradiction.
    let same = format!("api={port}");
    for args in [
        &["-f", "devstack.toml"][..],
        &["-f", "./devstack.toml"],
        &["--port", &same],
        &["--host", "127.0.0.1"],
        &["--no-deps", "api"],
    ] {
        project.devstack(["up", "-d"]).args(args).run().expect_code(0);
    }
    assert_eq!(pid(&project), before);
    down(project);
}

#[test]
fn options_that_only_a_start_can_follow_are_named() {
    let project = shop(&[]);
    let again = project.devstack(["up", "-d", "--timeline", "--qr"]).run().expect_code(0);
    let notes = ["--timeline", "--qr"]
        .map(|option| format!("note: `{option}` has no effect, because the stack already runs\n"));
    assert_eq!(again.stderr, notes.concat());
    down(project);
}

#[test]
fn a_file_that_took_the_place_of_another_is_no_contradiction() {
    let project = TestProject::new();
    project.write("Procfile.dev", "api: exec {misbehave} run\n");
    project.devstack(["up", "-d"]).run().expect_code(0);
    let first = pid(&project);
    let more = "[services.api]\ncommand = 'exec {misbehave} run'\n\
        [services.more]\ncommand = 'exec {misbehave} run'\n";
    project.configure(more);
    project.devstack(["up", "-d"]).run().expect_code(0);
    assert_eq!(phase(&project, "more"), "ready");
    assert_eq!(pid(&project), first);
    project.write("other.toml", more);
    project.devstack(["up", "-d", "-f", "other.toml"]).run().expect_code(4);
    project.devstack(["down"]).run().expect_code(0);

    // What was given stays.
    project.devstack(["up", "-d", "-f", "other.toml"]).run().expect_code(0);
    let refused = project.devstack(["up", "-d"]).run().expect_code(4);
    assert!(refused.stderr.contains("it uses other.toml, not devstack.toml"), "{refused:?}");
    down(project);
}

#[test]
fn an_edit_is_applied_first() {
    let project = shop(&[]);
    let more = format!("{SHOP}[services.more]\ncommand = ['{{misbehave}}', 'run']\n");
    project.configure(&more);
    project.devstack(["up", "-d"]).run().expect_code(0);
    assert_eq!(phase(&project, "more"), "ready");
    project.configure("[services.more]\ncomand = 'true'\n");
    let wrong = project.devstack(["up", "-d"]).run().expect_code(2);
    assert!(wrong.stderr.contains("did you mean"), "{wrong:?}");
    assert_eq!(phase(&project, "more"), "ready");
    down(project);

    let project = shop(&["--no-watch"]);
    project.devstack(["up", "-d"]).run().expect_code(0);
    project.configure(&more);
    let refused = project.devstack(["up", "-d"]).run().expect_code(4);
    assert!(refused.stderr.contains("it does not apply changes of its files"), "{refused:?}");
    down(project);
}

#[test]
fn a_stack_that_is_stopping_is_waited_for() {
    let port = free_port();
    let project = TestProject::with_config(&format!(
        "[services.api]\ncommand = ['sh', '-c', 'trap \": < gate; exit 0\" TERM; {{misbehave}} listen & wait']\n\
             port = {port}\nstop = {{ grace = '60s' }}\n"
    ));
    let mut gate = project.gate("gate");
    project.devstack(["up", "-d"]).run().expect_code(0);
    let before = pid(&project);
    let stopping = project.devstack(["down"]).start();
    project.wait_ps(|ps| ps["state"] == "stopping");
    let next = project.devstack(["up", "-d"]).start();
    next.wait_for("note: waiting for the previous stack to stop");
    gate.open();
    assert_eq!([stopping.wait_code(), next.wait_code()], [0, 0]);
    assert_ne!(pid(&project), before);
    assert_eq!(service(&project.ps(), "api")["port"], port);
    drop((stopping, next));
    down(project);
}

#[test]
fn the_stack_of_a_run_is_not_joined() {
    let project = TestProject::with_config("[services.api]\ncommand = ['{misbehave}', 'run']\n");
    let mut gate = project.gate("gate");
    let run = project.devstack(["run", "--", "sh", "-c", "echo begun; : < gate"]).start();
    run.wait_for("begun");
    let refused = project.devstack(["up", "-d"]).run().expect_code(4);
    assert!(refused.stderr.contains("`devstack run` started it"), "{refused:?}");
    gate.open();
    assert_eq!(run.wait_code(), 0);
    drop(run);
    project.finish();
}

#[test]
fn a_devstack_that_speaks_another_protocol_is_named() {
    let project = shop(&[]);
    let running = i32::try_from(pid(&project).as_i64().expect("a pid")).expect("a pid");
    let socket = project.socket();
    std::fs::remove_file(&socket).expect("it listens");
    let newer = UnixListener::bind(&socket).expect("the name is free");
    thread::spawn(move || {
        for client in newer.incoming() {
            let mut client = client.expect("a client");
            let _ = client.read(&mut [0; 1024]).expect("a request");
            // A client that has seen enough is gone.
            let _ = client.write_all(
                b"HTTP/1.1 200 OK\r\ndevstack-protocol: 99\r\ndevstack-version: 9.9.9\r\n\
                  content-length: 0\r\nconnection: close\r\n\r\n",
            );
        }
    });
    let refused = project.devstack(["up", "-d"]).run().expect_code(4);
    assert!(refused.stderr.contains("has version 9.9.9 with protocol 99"), "{refused:?}");
    assert!(refused.stderr.contains("help: run `devstack down`"), "{refused:?}");
    let running = rustix::process::Pid::from_raw(running).expect("a pid");
    rustix::process::kill_process(running, Signal::TERM).expect("it runs");
    project.assert_nothing_alive();
    project.finish();
}
