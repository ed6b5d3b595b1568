//! `devstack why`: one screen, and the same as data.

use serde_json::{Value, json};

use crate::support::{RunningProgram, TestProject, free_ports, occupy, service};

fn up(config: &str) -> (TestProject, RunningProgram) {
    let project = TestProject::with_config(config);
    let up = project.devstack(["up"]).start();
    (project, up)
}

fn why(project: &TestProject, service: &str) -> Value {
    project.devstack(["why", "--json", service]).run().expect_code(0).json()
}

fn screen(project: &TestProject, service: &str) -> String {
    project.devstack(["why", service]).run().expect_code(0).stdout
}

#[test]
fn a_crash_loop_is_explained_with_its_ends_its_probe_and_its_last_lines() {
    let (project, up) = up(r#"
        [services.api]
        command = "for i in 1 2 3 4 5 6 7 8 9 10 11; do echo line $i; done; : < gate; exit 3"
        ready = { exec = "echo no table; echo no luck; exit 1", interval = "10ms" }
        restart = { delay = "10m", max_delay = "10m" }
        [services.web]
        command = ["{misbehave}", "run"]
        depends_on = ["api"]
        "#);
    let mut gate = project.gate("gate");
    project.wait_ps(|ps| {
        let cause = service(ps, "api")["cause"].as_str().unwrap_or("");
        cause.contains("no luck")
    });
    gate.open();
    project.wait_ps(|ps| service(ps, "api")["phase"] == "backoff");
    let seen = why(&project, "api");
    let ps = project.ps();
    assert_eq!(seen["service"], *service(&ps, "api"));
    assert_eq!((&seen["version"], &seen["stack"]), (&json!(1), &ps["stack"]));
    let end = &seen["exits"][0];
    assert_eq!((&end["exit"], &end["by"]), (&json!({"code": 3}), &json!("unexpected")));
    assert!(end["lived_ms"].is_u64() && end["run"] == ps["services"][0]["run"], "{end}");
    assert_eq!(seen["exits"].as_array().map(Vec::len), Some(1));
    assert_eq!(seen["probe"]["about"], "ready");
    let probe = seen["probe"]["text"].as_str().expect("a text");
    assert!(probe.contains("failed (exit 1): no table\nno luck"), "{probe}");
    let next = &seen["next"];
    assert_eq!(next["text"], "attempt 2");
    assert!(next["in_ms"].as_u64().is_some_and(|ms| ms <= 600_000), "{next}");
    let lines: Vec<String> = (2..=11).map(|number| format!("line {number}")).collect();
    assert_eq!(seen["log"], json!(lines));
    let text = screen(&project, "api");
    for part in [
        "api: backoff for ",
        "next       attempt 2 in ",
        "probe      ready: `echo no table",
        "           no luck\n",
        "exits      start 1, ",
        "log        line 2\n           line 3\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(text.lines().count() <= 24 && !text.contains('\x1b'), "{text}");

    let web = why(&project, "web");
    let waits = &web["waits"][0];
    assert_eq!(
        (&waits["service"], &waits["condition"], &waits["phase"]),
        (&json!("api"), &json!("ready"), &json!("backoff"))
    );
    assert_eq!(web["next"]["text"], "it starts when api is ready");
    assert!(screen(&project, "web").contains("waits for  api (ready): backoff, exit 3"));
    project.end(&up);
}

#[test]
fn the_file_that_brought_it_about_is_named_with_what_followed() {
    let (project, up) = up(r#"
        [services.api]
        command = ["{misbehave}", "--stay", "say", "begun"]
        watch = ["*.py"]
        "#);
    up.wait_for("is up");
    assert_eq!(why(&project, "api")["trigger"], Value::Null);
    up.wait_for("api | begun");
    project.write("app.py", "changed");
    up.wait_count(2, "api | begun");
    let seen = why(&project, "api");
    let path = project.path("app.py").display().to_string();
    assert_eq!(
        (&seen["trigger"]["path"], &seen["trigger"]["action"]),
        (&json!(path), &json!("restart"))
    );
    assert_eq!(seen["exits"][0]["by"], "us");
    assert!(screen(&project, "api").contains("app.py changed "), "{}", screen(&project, "api"));
    project.end(&up);
}

#[test]
fn unstarted_and_failed_services_say_what_to_type() {
    let (project, up) = up(r#"
        [services.bad]
        command = ["no-such-program"]
        [services.spare]
        command = ["{misbehave}", "run"]
        autostart = false
        [services.good]
        command = ["{misbehave}", "run"]
        "#);
    project.wait_ps(|ps| service(ps, "bad")["phase"] == "failed");
    let text = screen(&project, "bad");
    assert!(text.contains("no-such-program"), "{text}");
    assert!(text.contains("  help: "), "{text}");
    assert!(text.contains("or run `devstack restart bad`"), "{text}");
    assert!(
        screen(&project, "spare")
            .contains("next       nothing: run `devstack start spare` to start it")
    );
    let ended = project.devstack(["why", "gopd"]).run().expect_code(3);
    assert!(ended.stderr.contains("did you mean `good`?"), "{ended:?}");
    project.devstack(["why"]).run().expect_code(2);
    up.end();
    project.devstack(["why", "good"]).run().expect_code(3);
    project.finish();
}

#[test]
fn a_port_that_moved_says_why_and_whether_it_has_a_listener() {
    let wanted = free_ports(2);
    let stranger = occupy(wanted);
    let (project, up) = up(&format!(
        "[services.api]\ncommand = [\"{{misbehave}}\", \"listen\"]\nport = {wanted}\n"
    ));
    up.wait_for("is up");
    let seen = why(&project, "api");
    let port = &seen["ports"][0];
    let given = port["given"].as_u64().expect("a port");
    assert_ne!(given, u64::from(wanted));
    assert_eq!(port["wanted"], wanted);
    assert_eq!(port["listens"], true);
    let moved = port["moved"].as_str().expect("why");
    assert!(moved.contains(&format!("port {wanted} is in use by")), "{moved}");
    let line = format!("ports      main {given}: port {wanted} is in use by");
    assert!(screen(&project, "api").contains(&line), "{}", screen(&project, "api"));
    drop(stranger);
    project.end(&up);
}
