//! `devstack wait`: what it waits for, what it prints meanwhile, and how it ends.

use serde_json::json;

use crate::support::{FifoGate, RunningProgram, TestProject, eventually, service};

/// `api` is ready when the gate opens; `web` needs it; `migrate` is done when the gate opens; `spare` is never started.
const STACK: &str = r#"
    [services.api]
    command = "echo begun; : < gate; echo open; exec '{misbehave}' run"
    ready = { log = "^open$" }
    [services.web]
    command = ["{misbehave}", "run"]
    depends_on = ["api"]
    [services.migrate]
    kind = "task"
    command = "echo begun; : < gate"
    [services.spare]
    command = ["{misbehave}", "run"]
    autostart = false
    "#;

fn starting(config: &str) -> (TestProject, RunningProgram, FifoGate) {
    let project = TestProject::with_config(config);
    let gate = project.gate("gate");
    let up = project.devstack(["up"]).start();
    up.wait_count(2, "| begun");
    (project, up, gate)
}

#[test]
fn all_that_was_asked_for_is_waited_for_and_each_change_is_said_once() {
    let (project, up, mut gate) = starting(STACK);
    let wait = project.devstack(["wait"]).start();
    wait.wait_for("waiting for api: starting, ");
    wait.wait_for("waiting for web: waiting for api (ready)");
    wait.wait_for("waiting for migrate: starting, ");
    gate.open();
    assert_eq!(wait.wait_code(), 0);
    wait.wait_closed();
    assert_eq!(wait.stdout(), "ready: api, web; completed: migrate\n");
    let said = wait.stderr();
    let mut lines: Vec<&str> = said.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count, "{said}");
    assert!(!said.contains("spare"), "{said}");
    // It is so: nothing to say but that.
    let again = project.devstack(["wait"]).run().expect_code(0);
    assert_eq!((again.stdout, again.stderr), (wait.stdout(), String::new()));
    let json = project.devstack(["wait", "--json", "web"]).run().expect_code(0);
    assert_eq!(json.json(), json!({"text": "ready: web"}));
    project.end(&up);
}

#[test]
fn the_time_is_up_and_it_says_what_is_missing_and_why() {
    let (project, up, mut gate) = starting(STACK);
    let ended = project.devstack(["wait", "--timeout", "10ms"]).run().expect_code(1);
    assert_eq!(ended.stdout, "");
    let last = ended.stderr.lines().find(|line| line.starts_with("error: ")).expect("an error");
    assert!(last.starts_with("error: not ready within 10ms: api ("), "{last}");
    assert!(last.contains("web (waiting for api (ready))"), "{last}");
    assert!(last.contains("migrate (starting, pid "), "{last}");
    assert!(!last.contains("spare"), "{last}");
    let ended = project.devstack(["wait", "--json", "--timeout", "10ms", "api"]).run();
    assert_eq!(ended.expect_code(1).error()["class"], "ready-timeout");
    gate.open();
    up.wait_for("is up");
    // No time at all is enough for what is so.
    project.devstack(["wait", "--timeout", "0s"]).run().expect_code(0);
    let ended = project.devstack(["wait", "--timeout", "0s", "--for", "stopped", "api"]).run();
    let ended = ended.expect_code(1);
    assert!(ended.stderr.contains("error: not stopped within 0ms: api (ready, "), "{ended:?}");
    project.end(&up);
}

#[test]
fn what_can_no_longer_happen_is_refused_at_once() {
    let config = r#"
        [services.bad]
        command = "echo begun; : < gate; exit 3"
        restart = "no"
        ready = { log = "never" }
        [services.web]
        command = ["{misbehave}", "run"]
        depends_on = ["bad"]
        [services.good]
        command = ["{misbehave}", "--stay", "say", "begun"]
        [services.spare]
        command = ["{misbehave}", "run"]
        autostart = false
        "#;
    let (project, up, mut gate) = starting(config);
    let (all, web) =
        (project.devstack(["wait"]).start(), project.devstack(["wait", "web"]).start());
    all.wait_for("waiting for bad: ");
    web.wait_for("waiting for web: ");
    gate.open();
    for (waiting, text) in
        [(all, "bad failed: exited with code 3"), (web, "web cannot start: dependency bad")]
    {
        assert_eq!(waiting.wait_code(), 1);
        waiting.wait_for(&format!("error: {text}"));
    }
    let later = project.devstack(["wait", "--json", "web"]).run().expect_code(1);
    assert_eq!(later.error()["class"], "dep-failed");
    let idle = project.devstack(["wait", "spare"]).run().expect_code(3);
    assert!(idle.stderr.contains("spare is not running and will not start"), "{idle:?}");
    assert!(idle.stderr.contains("help: run `devstack start spare`"), "{idle:?}");
    project.devstack(["wait", "--for", "stopped", "spare", "web"]).run().expect_code(0);
    let nobody = project.devstack(["wait", "gopd"]).run().expect_code(3);
    assert!(nobody.stderr.contains("did you mean `good`?"), "{nobody:?}");
    project.devstack(["wait", "--for", "lunch"]).run().expect_code(2);
    project.end(&up);
    TestProject::new().devstack(["wait"]).run().expect_code(3);
}

#[test]
fn the_end_of_the_stack_is_stopped_and_not_ready() {
    let (project, up, _gate) = starting(STACK);
    let stopped = project.devstack(["wait", "--for", "stopped"]).start();
    let ready = project.devstack(["wait", "web"]).start();
    stopped.wait_for("waiting for api: starting");
    ready.wait_for("waiting for web: ");
    up.end();
    assert_eq!((stopped.wait_code(), ready.wait_code()), (0, 3));
    // Or it had ended when the question came.
    ready.wait_line(|line| line.starts_with("error: the stack "));
    project.finish();
}

#[test]
fn one_that_is_killed_counts_as_stopped_too() {
    let (project, up, _gate) = starting(STACK);
    let stopped = project.devstack(["wait", "--for", "stopped", "api"]).start();
    stopped.wait_for("waiting for api: starting");
    up.kill9();
    assert_eq!(stopped.wait_code(), 0);
    stopped.wait_closed();
    assert_eq!(stopped.stdout(), "the stack has stopped\n");
}

#[test]
fn it_works_while_up_is_only_just_coming() {
    let project =
        TestProject::with_config("[services.api]\ncommand = [\"{misbehave}\", \"run\"]\n");
    let up = project.devstack(["up"]).start();
    // As soon as the directory is locked; the socket may not be there.
    let run = project.outside("run").join("devstack");
    eventually("a lock", || {
        let mut files = run.read_dir().ok()?.flatten();
        files.any(|file| file.path().extension().is_some_and(|kind| kind == "lock")).then_some(())
    });
    eventually("a stack that is there", || {
        let ended = project.devstack(["wait"]).run();
        // Between the file and its lock nothing runs yet.
        (ended.code() != 3).then(|| ended.expect_code(0))
    });
    assert_eq!(service(&project.ps(), "api")["phase"], "ready");
    project.end(&up);
}

#[test]
fn a_renamed_or_removed_service_answers_its_waiters() {
    let (project, up, mut gate) = starting(STACK);
    let waits = ["api", "migrate"].map(|name| {
        let wait = project.devstack(["wait", name]).start();
        wait.wait_for(&format!("waiting for {name}: "));
        wait
    });
    let all = project.devstack(["wait"]).start();
    all.wait_for("waiting for api: ");
    let (head, tail) = STACK.split_once("[services.migrate]").expect("it is there");
    let text = head.replace("services.api", "services.front").replace("[\"api\"]", "[\"front\"]")
        + &tail[tail.find("[services.spare]").expect("it is there")..];
    project.configure(&text);
    for (wait, text) in waits.iter().zip(["api was renamed to front", "migrate was removed"]) {
        assert_eq!(wait.wait_code(), 3, "{:?}", wait.lines());
        wait.wait_for(text);
    }
    gate.open();
    assert_eq!(all.wait_code(), 0, "{:?}", all.lines());
    all.wait_closed();
    assert_eq!(all.stdout(), "ready: front, web\n");
    project.end(&up);
}
