//! `stop.command`: a service that is stopped by a command instead of a signal.

use serde_json::json;

use crate::support::{RunningProgram, TestProject, service};

fn up(project: &TestProject, stop: &str) -> RunningProgram {
    let config = format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "signals", "INT", "USR1"]
        stop = {{ {stop} }}
        [services.other]
        command = ["{{misbehave}}", "run"]
        "#
    );
    project.configure(&config);
    let up = project.devstack(["up"]).start();
    up.wait_for("api   | ready");
    up.wait_for("is up");
    up
}

const ENDS_IT: &str = "echo \\\"stopping $MAINPID in $PWD\\\"; kill -KILL $MAINPID";

#[test]
fn a_command_stops_the_service() {
    let project = TestProject::new();
    let up = up(&project, &format!("command = \"{ENDS_IT}\", grace = \"60s\""));
    let pid = service(&project.ps(), "api")["pid"].clone();
    project.devstack(["stop", "api"]).run().expect_code(0);
    // What it prints is in the log of the service.
    up.wait_for(&format!("api   | stopping {pid} in {}", project.dir().display()));
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["phase"], "idle");
    assert_eq!(service(&ps, "api")["exit"], json!({"signal": "KILL"}));
    project.devstack(["start", "api"]).run().expect_code(0);
    up.end();
    up.wait_closed();
    let lines = up.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("| stopping ")).count(), 2, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("stop command")), "{lines:#?}");
    project.finish();
}

#[test]
fn a_failed_command_is_reported_and_the_signal_follows() {
    for (command, why) in [
        ("\"echo oh no; exit 3\"", "failed (exit 3)"),
        ("[\"no-such-program-anywhere\"]", "could not start"),
    ] {
        let project = TestProject::new();
        let up = up(&project, &format!("command = {command}, signal = \"TERM\", grace = \"60s\""));
        project.devstack(["stop", "api"]).run().expect_code(0);
        let told = up.wait_for("api   * stop command ");
        assert!(told.contains(why) && told.contains("sending SIGTERM instead"), "{told}");
        let ps = project.ps();
        assert_eq!(service(&ps, "api")["exit"], json!({"signal": "TERM"}));
        project.end(&up);
    }
}

#[test]
fn a_command_that_fails_during_ctrl_c_is_reported_too() {
    for command in ["\"exit 3\"", "[\"no-such-program-anywhere\"]", "\"sleep 0.1; exit 3\""] {
        let project = TestProject::new();
        let up = up(&project, &format!("command = {command}, signal = \"TERM\", grace = \"60s\""));
        up.end();
        up.wait_closed();
        let lines = up.lines();
        let told = lines.iter().filter(|line| line.contains("api   * stop command ")).count();
        assert_eq!(told, 1, "{command}: {lines:#?}");
        project.finish();
    }
}

#[test]
fn a_command_that_fails_last_is_reported_too() {
    // It ends the service and fails: then nothing else is left that devstack waits for.
    for _ in 0..5 {
        let project = TestProject::new();
        let up = up(&project, "command = \"kill -KILL $MAINPID; exit 3\", grace = \"60s\"");
        up.end();
        up.wait_closed();
        let lines = up.lines();
        let told = lines.iter().filter(|line| line.contains("api   * stop command ")).count();
        assert_eq!(told, 1, "{lines:#?}");
        project.finish();
    }
}

#[test]
fn a_command_that_hangs_ends_with_the_grace() {
    let project = TestProject::new();
    let hangs = "command = \"trap '' TERM; echo hanging; sleep 1000 & wait\", grace = \"200ms\"";
    let up = up(&project, hangs);
    project.devstack(["stop", "api"]).run().expect_code(0);
    up.wait_for("api did not stop within 200ms; killing it");
    up.wait_for("api   | hanging");
    assert_eq!(service(&project.ps(), "api")["exit"], json!({"signal": "KILL"}));
    let left = project.alive();
    assert!(!left.iter().any(|one| one.command.contains("sleep")), "{left:?}");
    project.devstack(["start", "api"]).run().expect_code(0);
    up.end();
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn a_second_ctrl_c_waits_for_no_command() {
    let project = TestProject::new();
    let up = up(&project, "command = \"echo hanging; sleep 1000\", grace = \"60s\"");
    up.interrupt();
    up.wait_for("api   | hanging");
    up.end();
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn a_kill_of_devstack_ends_the_command_too() {
    let project = TestProject::new();
    let up = up(&project, "command = \"echo hanging; setsid sleep 1000\", grace = \"60s\"");
    let stop = project.devstack(["stop", "api"]).start();
    up.wait_for("api   | hanging");
    up.kill9();
    assert_eq!(stop.wait_code(), 3);
    project.finish();
}
