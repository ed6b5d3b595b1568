//! What a service reports about itself after it has started: `health`, `ready.notify`.

use serde_json::{Value, json};

use crate::support::{MarkerLog, TestProject, eventually, require, service};

fn phase<'a>(ps: &'a Value, name: &str) -> &'a Value {
    &service(ps, name)["phase"]
}

/// A server that answers 503 while there is no file `good`.
fn checked(action: &str) -> String {
    format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen", "--http", "--ok-when", "good"]
        port = "auto"
        ready = {{ tcp = true }}
        health = {{ http = "/health", interval = "20ms", failures = 2, action = "{action}" }}
        restart = {{ delay = "10ms" }}
        [services.web]
        command = ["{{misbehave}}", "run"]
        depends_on = ["api"]
        "#
    )
}

#[test]
fn an_unhealthy_service_is_reported_and_keeps_running() {
    let project = TestProject::new();
    project.write("good", "");
    project.configure(&checked("report"));
    let up = project.up();
    let pid = service(&project.ps(), "api")["pid"].clone();
    for round in 1..=2 {
        std::fs::remove_file(project.path("good")).expect("it is there");
        let told = up.wait_count(round, "api * unhealthy: ");
        assert!(told.contains("503"), "{told}");
        let ps = project.wait_ps(|ps| phase(ps, "api") == "unhealthy");
        assert_eq!(ps["state"], "degraded");
        assert_eq!(service(&ps, "api")["message"]["class"], "unhealthy");
        project.write("good", "");
        let ps = project.wait_ps(|ps| phase(ps, "api") == "ready");
        assert_eq!(ps["state"], "up");
        // The same process all the time; no other was touched.
        assert_eq!(service(&ps, "api")["pid"], pid);
        assert_eq!(service(&ps, "api")["restarts"], 0);
        assert_eq!(phase(&ps, "web"), "ready");
    }
    project.end(&up);
}

#[test]
fn a_service_that_is_not_healthy_is_restarted_when_that_is_asked_for() {
    let project = TestProject::new();
    project.write("good", "");
    project.configure(&checked("restart"));
    let up = project.up();
    let before = project.ps();
    std::fs::remove_file(project.path("good")).expect("it is there");
    up.wait_for("api * stopping: ");
    project.write("good", "");
    let ps = project
        .wait_ps(|ps| phase(ps, "api") == "ready" && service(ps, "api")["restarts"] != json!(0));
    assert_ne!(service(&ps, "api")["pid"], service(&before, "api")["pid"]);
    assert_eq!(service(&ps, "web")["pid"], service(&before, "web")["pid"]);
    project.end(&up);
}

#[test]
fn a_service_that_is_never_healthy_is_given_up() {
    let project = TestProject::with_config(
        r#"
        [services.api]
        command = ["{misbehave}", "marker", "marks", "--trap"]
        health = { exec = "exit 7", interval = "5ms", failures = 1, action = "restart" }
        restart = { delay = "5ms", max = 3 }
        [services.web]
        command = ["{misbehave}", "run"]
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("api * failed: ");
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["message"]["class"], "crash-loop");
    assert_eq!(service(&ps, "api")["restarts"], 2);
    assert_eq!(phase(&ps, "web"), "ready");
    up.end();
    MarkerLog::read(&project.path("marks")).assert_no_overlap();
    project.finish();
}

#[test]
fn health_can_be_changed_while_the_service_runs() {
    let text = |health: &str| {
        format!("[services.api]\ncommand = [\"{{misbehave}}\", \"run\"]\n{health}\n")
    };
    let project = TestProject::with_config(&text(""));
    let up = project.up();
    let pid = service(&project.ps(), "api")["pid"].clone();
    let bad = "health = { exec = \"exit 7\", interval = \"10ms\", failures = 1 }";
    project.configure(&text(bad));
    let ps = project.wait_ps(|ps| phase(ps, "api") == "unhealthy");
    assert_eq!(service(&ps, "api")["pid"], pid);
    let text_of = service(&ps, "api")["message"]["text"].as_str().expect("a text").to_owned();
    assert!(text_of.contains("exit 7"), "{text_of}");
    let good = "health = { exec = \"exit 0\", interval = \"10ms\", failures = 1 }";
    project.configure(&text(good));
    project.wait_ps(|ps| phase(ps, "api") == "ready");
    project.configure(&text(bad));
    project.wait_ps(|ps| phase(ps, "api") == "unhealthy");
    // It is no longer reported as unhealthy.
    project.configure(&text(""));
    let ps = project.wait_ps(|ps| phase(ps, "api") == "ready");
    assert_eq!(service(&ps, "api")["pid"], pid);
    project.end(&up);
}

#[test]
fn a_service_says_by_itself_that_it_is_ready() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    project.configure(
        r#"
        [services.api]
        command = ": < gate; exec {misbehave} notify READY=1"
        ready = { notify = true }
        [services.env]
        kind = "task"
        command = ["{misbehave}", "print-env", "NOTIFY_SOCKET"]
        [services.web]
        command = ["{misbehave}", "run"]
        depends_on = ["api"]
        "#,
    );
    let up = project.devstack(["up"]).start();
    let ps = project.wait_ps(|ps| phase(ps, "env") == "done");
    assert_eq!((phase(&ps, "api"), phase(&ps, "web")), (&json!("starting"), &json!("waiting")));
    gate.open();
    up.wait_for("api * ready");
    up.wait_for("is up");
    assert!(!up.lines().iter().any(|line| line.contains("NOTIFY_SOCKET=")), "{:?}", up.lines());
    // A new run reports it again.
    gate.shut();
    let restart = project.devstack(["restart", "api"]).start();
    project.wait_ps(|ps| phase(ps, "api") == "starting");
    gate.open();
    assert_eq!(restart.wait_code(), 0);
    up.end();
    // No socket is left; `finish` looks.
    project.finish();
}

#[test]
fn only_the_service_itself_can_say_that_it_is_ready() {
    if !require("credentials of senders", cfg!(target_os = "linux")) {
        return;
    }
    let project = TestProject::with_config(
        r#"
        [services.api]
        command = "echo $NOTIFY_SOCKET > place; exec {misbehave} run"
        ready = { notify = true }
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("api | ready");
    let socket = eventually("the place of the socket", || {
        std::fs::read_to_string(project.path("place")).ok().filter(|text| text.ends_with('\n'))
    });
    let liar = project.misbehave(["notify"]).env("NOTIFY_SOCKET", socket.trim_end()).start();
    liar.wait_for("ready");
    // Answers come after what was there before, so it would have been heard.
    for _ in 0..3 {
        assert_eq!(phase(&project.ps(), "api"), "starting");
    }
    drop(liar);
    project.end(&up);
}

#[test]
fn what_never_comes_is_reported() {
    let project = TestProject::with_config(
        r#"
        [services.api]
        command = ["{misbehave}", "notify", "STATUS=still thinking"]
        ready = { notify = true, timeout = "100ms" }
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("api * not ready yet after 100ms: ");
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["message"]["class"], "ready-timeout");
    project.end(&up);
}
