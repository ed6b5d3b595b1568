//! Ports, from request to bind: which service gets which, what is reported if it is another, and what other processes cannot do.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{
    TestProject, free_port, free_ports, http_get, occupy, occupy_on, require, service,
};

/// A stack of one service, `api`, that listens on the port it is given.
fn api(project: &TestProject, keys: &str) {
    project.configure(&format!(
        "[services.api]\ncommand = [\"{{misbehave}}\", \"listen\", \"--http\"]\n{keys}\n"
    ));
}

/// Ends a stack as Ctrl-C does.
/// Fails unless this service runs on `port` after it had wished for `wanted`.
#[track_caller]
fn assert_port(ps: &Value, name: &str, port: u16, wanted: u16) {
    let api = service(ps, name);
    let seen = (api["port"].as_u64(), api["wanted_port"].as_u64());
    assert_eq!(seen, (Some(port.into()), Some(wanted.into())), "{api}");
}

#[test]
fn a_free_port_is_given_as_it_was_wished_for() {
    let project = TestProject::new();
    let port = free_port();
    api(&project, &format!("port = {port}"));
    let up = project.devstack(["up"]).start();
    assert!(up.wait_for("api * starting").ends_with(&format!("starting on port {port}")));
    up.wait_for("is up");
    assert_port(&project.ps(), "api", port, port);
    assert_eq!(http_get(port, "/").json()["port"], port);
    project.end(&up);
}

#[test]
fn a_port_that_is_held_on_any_address_moves_and_says_so() {
    for host in ["127.0.0.1", "::1", "0.0.0.0", "::"] {
        let ipv6 = !host.contains(':') || std::net::TcpListener::bind((host, 0)).is_ok();
        if !require("IPv6", ipv6) {
            continue;
        }
        let project = TestProject::new();
        let port = free_ports(2);
        let number = port.to_string();
        let stranger = project.misbehave(["listen", "--host", host, "--port", &number]).start();
        stranger.wait_for("ready");
        api(&project, &format!("port = {port}"));

        let up = project.devstack(["up"]).start();
        let held = format!(
            "port {port} is in use by misbehave (pid {}: misbehave listen --host {host} --port {port}, in {}, for ",
            stranger.pid(),
            project.dir().display()
        );
        let start = up.wait_for("api * starting");
        assert!(start.contains(&format!("starting on port {}: {held}", port + 1)), "{start}");
        up.wait_for("is up");
        let summary = up.wait_for(&format!("; using {}", port + 1));
        assert!(summary.contains(&held), "{summary}");

        assert_port(&project.ps(), "api", port + 1, port);
        let table = project.devstack(["ps"]).run().expect_code(0).stdout;
        assert!(table.contains(&format!("{} (wanted {port})", port + 1)), "{table}");
        assert_eq!(http_get(port + 1, "/").json()["port"], port + 1);
        up.end();
        stranger.kill9();
        project.finish();
    }
}

#[test]
fn next_goes_upward_and_auto_goes_anywhere() {
    let project = TestProject::new();
    let port = free_ports(3);
    let _strangers = [occupy(port), occupy(port + 1)];
    project.configure(&format!(
        r#"
        [stack]
        on_conflict = "auto"
        [services.next]
        command = ["{{misbehave}}", "listen"]
        port = {{ prefer = {port}, on_conflict = "next" }}
        [services.auto]
        command = ["{{misbehave}}", "listen"]
        port = {above}
        [services.any]
        command = ["{{misbehave}}", "listen"]
        port = "auto"
        "#,
        above = port + 1
    ));
    let up = project.up();
    let ps = project.ps();
    assert_port(&ps, "next", port + 2, port);
    let auto = service(&ps, "auto")["port"].as_u64().expect("it has a port");
    assert!(!(u64::from(port)..u64::from(port) + 3).contains(&auto), "{auto}");
    assert_eq!(service(&ps, "auto")["wanted_port"], port + 1);
    assert_eq!(service(&ps, "any")["wanted_port"], Value::Null);
    // One that never wished for a number has not moved.
    let summary = up.lines();
    assert_eq!(summary.iter().filter(|line| line.contains("; using ")).count(), 2, "{summary:?}");
    project.end(&up);
}

/// A start that must fail because `port` is held by the test itself; returns its output.
#[track_caller]
fn refused(project: &TestProject, port: u16, args: &[&str], env: Option<(&str, &str)>) -> String {
    let mut up = project.devstack([&["up"], args].concat());
    if let Some((name, value)) = env {
        up = up.env(name, value);
    }
    let ended = up.run().expect_code(1);
    let holder = format!("port {port} is in use by main");
    let pid = format!("(pid {}: ", std::process::id());
    assert!(ended.stderr.contains(&holder) && ended.stderr.contains(&pid), "{}", ended.stderr);
    assert!(ended.stderr.contains("help: "), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert!(!project.path("markers").exists(), "something was started: {}", ended.stderr);
    ended.stderr
}

/// `api` wishes for this port, and a service beside it would leave a trace.
fn guarded(project: &TestProject, wish: &str) {
    project.configure(&format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen", "--http"]
        port = {wish}
        [services.first]
        command = ["{{misbehave}}", "marker", "markers"]
        "#
    ));
}

#[test]
fn fail_and_strict_ports_start_nothing() {
    let project = TestProject::new();
    let port = free_ports(2);
    let _stranger = occupy(port);
    guarded(&project, &format!("{{ prefer = {port}, on_conflict = \"fail\" }}"));
    let said = refused(&project, port, &[], None);
    assert!(said.contains("api: ") && said.contains("devstack.toml"), "{said}");
    assert!(said.contains(&format!("such as {}", port + 1)), "{said}");
    guarded(&project, &port.to_string());
    refused(&project, port, &["--strict-ports"], None);
    project.finish();
}

#[test]
fn a_pinned_port_that_is_taken_starts_nothing() {
    let project = TestProject::new();
    let port = free_ports(2);
    let other = free_port();
    let _stranger = occupy(port);
    guarded(&project, &other.to_string());
    let number = port.to_string();
    let option = format!("--port=api={port}");
    let said = refused(&project, port, &[&option], None);
    assert!(said.contains(&format!("--port api={}", port + 1)), "{said}");
    for variable in ["API_PORT", "PORT"] {
        let said = refused(&project, port, &[], Some((variable, &number)));
        assert!(said.contains(&format!("`{variable}={}`", port + 1)), "{said}");
    }
    project.finish();
}

#[test]
fn a_pinned_port_that_is_free_is_used_exactly() {
    let project = TestProject::new();
    let port = free_ports(4);
    api(&project, &format!("port = {port}"));
    let option = format!("--port=api={}", port + 1);
    let variables = [("API_PORT", port + 2), ("PORT", port + 3)];
    for (args, set, given) in [
        (vec!["up"], &variables[1..], port + 3),
        (vec!["up"], &variables[..], port + 2),
        (vec!["up", &option], &variables[..], port + 1),
    ] {
        let mut up = project.devstack(args);
        for (name, value) in set {
            up = up.env(name, value.to_string());
        }
        let up = up.start();
        up.wait_for("is up");
        let ps = project.ps();
        let api = service(&ps, "api");
        assert_eq!((&api["port"], &api["pinned"]), (&given.into(), &true.into()), "{api}");
        assert!(!up.lines().iter().any(|line| line.contains("; using ")), "{:?}", up.lines());
        up.end();
    }
    project.finish();
}

#[test]
fn a_variable_that_is_no_port_is_a_link_or_a_mistake() {
    let project = TestProject::new();
    let port = free_port();
    api(&project, &format!("port = {port}"));
    let up = project.devstack(["up"]).env("API_PORT", "tcp://10.0.0.1:80").start();
    up.wait_for("tcp://10.0.0.1:80");
    up.wait_for("is up");
    assert_port(&project.ps(), "api", port, port);
    up.end();
    let wrong = project.devstack(["up"]).env("API_PORT", "fast").run().expect_code(2);
    assert!(wrong.stderr.contains("API_PORT"), "{}", wrong.stderr);
    project.finish();
}

#[test]
fn a_stranger_that_answers_is_never_the_service() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let port = free_port();
    // Its readiness is on a port that it was not given, so that there is nothing to choose again.
    project.configure(&format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen", "--elsewhere", "{port}", "--after-gate", "gate"]
        port = "auto"
        ready = {{ tcp = {port} }}
        "#
    ));
    let up = project.devstack(["up"]).start();
    up.wait_for("api * starting");
    let stranger = project.misbehave(["listen", "--port", &port.to_string()]).start();
    stranger.wait_for("ready");
    // Another process answers, so the service is not ready, and the message names that process.
    let said = up.wait_for(&format!("port {port} is in use by misbehave"));
    assert!(said.contains(&format!("pid {}", stranger.pid())), "{said}");
    let ps = project.ps();
    let api = service(&ps, "api");
    assert_eq!((&api["phase"], &api["message"]["class"]), (&"starting".into(), &"port".into()));
    stranger.kill9();
    gate.open();
    up.wait_for("is up");
    project.end(&up);
}

#[test]
fn a_service_that_listens_elsewhere_is_reported_with_both_ports() {
    let project = TestProject::new();
    let (given, metrics, elsewhere) = (free_port(), free_port(), free_port());
    project.configure(&format!(
            r#"
            [services.api]
            command = "{{misbehave}} listen --port $PORT_METRICS & {{misbehave}} listen --elsewhere {elsewhere}"
            ports = {{ http = {given}, metrics = {metrics} }}
            "#
        ));
    let up = project.devstack(["up"]).start();
    let said = up.wait_for("was given PORT");
    // The port that it was given for its metrics is none of its mistakes.
    let expected = format!("was given PORT={given} but is listening on {elsewhere}");
    assert!(said.ends_with(&format!("api * {expected}")), "{said}");
    up.wait_for("$PORT");
    let ps = project.ps();
    let api = service(&ps, "api");
    assert_eq!((&api["phase"], &api["message"]["class"]), (&"starting".into(), &"port".into()));
    assert_eq!(api["message"]["text"], expected);
    project.end(&up);
}

#[test]
fn two_copies_of_a_stack_share_no_port() {
    const SERVICES: u16 = 5;
    let project = TestProject::new();
    let first = free_ports(SERVICES * 3);
    let mut text = String::new();
    for at in 0..SERVICES {
        let wish = if at + 1 < SERVICES { (first + at).to_string() } else { "\"auto\"".to_owned() };
        text += &format!(
            "[services.s{at}]\ncommand = [\"{{misbehave}}\", \"listen\"]\nport = {wish}\n"
        );
    }
    let dirs = ["one", "two", "three"];
    dirs.iter().for_each(|dir| drop(project.write(format!("{dir}/devstack.toml"), &text)));
    let ups = dirs.map(|dir| project.devstack(["up"]).dir(dir).start());
    ups.iter().for_each(|up| drop(up.wait_for("is up")));
    let mut all = BTreeSet::new();
    for dir in dirs {
        let ps = project.devstack(["ps", "--json"]).dir(dir).run().expect_code(0).json();
        let services = ps["services"].as_array().expect("a list");
        for port in services.iter().map(|service| service["port"].as_u64()) {
            assert!(all.insert(port.expect("all have ports")), "{port:?} twice");
        }
    }
    assert_eq!(all.len(), dirs.len() * usize::from(SERVICES));
    ups.iter().for_each(crate::support::RunningProgram::end);
    project.finish();
}

#[test]
fn the_same_port_again_at_the_next_start() {
    let project = TestProject::new();
    let port = free_ports(3);
    let strangers = (occupy(port), occupy(port + 1));
    project.configure(&format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen"]
        port = {port}
        [services.any]
        command = ["{{misbehave}}", "listen"]
        port = "auto"
        "#
    ));
    let start = || {
        let up = project.up();
        let ps = project.ps();
        up.end();
        ["api", "any"].map(|name| service(&ps, name)["port"].as_u64().expect("it has one"))
    };
    let [api, any] = start();
    assert_eq!(api, u64::from(port) + 2);
    // There is a nearer one now, but people have the other one in their browsers.
    drop(strangers.1);
    assert_eq!(start(), [api, any]);
    // What was wished for is always better.
    drop(strangers.0);
    assert_eq!(start(), [port.into(), any]);
    project.finish();
}

#[test]
fn ports_of_the_stack_are_listed_with_their_holders() {
    let project = TestProject::new();
    let port = free_ports(2);
    let metrics = free_port();
    let _stranger = occupy_on("::1", port);
    project.configure(&format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen"]
        ports = {{ http = {port}, metrics = {metrics}, debug = "auto" }}
        [services.worker]
        command = ["{{misbehave}}", "run"]
        "#
    ));
    let none = project.devstack(["ports"]).run();
    assert_eq!(none.code(), 3, "{}", none.stderr);
    let up = project.up();
    let pid = service(&project.ps(), "api")["pid"].clone();

    let listed = project.devstack(["ports", "--json"]).run().expect_code(0).json();
    let rows = listed["ports"].as_array().expect("a list");
    let row = |name: &str| rows.iter().find(|row| row["port"] == name).expect("it is listed");
    assert_eq!(rows.len(), 3, "{listed}");
    assert_eq!(row("http")["wanted"], port);
    assert_eq!(row("http")["actual"], port + 1);
    assert_eq!(row("http")["holder"]["pid"], pid);
    assert_eq!(
        (&row("metrics")["wanted"], &row("metrics")["actual"]),
        (&metrics.into(), &metrics.into())
    );
    assert_eq!(
        (&row("metrics")["listening"], &row("metrics")["holder"]),
        (&false.into(), &Value::Null)
    );
    assert_eq!(row("debug")["wanted"], Value::Null);
    let table = project.devstack(["ports"]).run().expect_code(0).stdout;
    let line = table.lines().find(|line| line.contains("http")).expect("it is listed");
    assert!(
        line.contains(&format!("{port}")) && line.contains(&format!("(pid {pid}: ")),
        "{table}"
    );
    project.end(&up);
}

#[test]
fn any_port_can_be_asked_about() {
    let project = TestProject::new();
    let port = free_port();
    let ask = |port: u16| {
        let text = project.devstack(["ports", &port.to_string()]).run().expect_code(0).stdout;
        let json = project.devstack(["ports", &port.to_string(), "--json"]).run().expect_code(0);
        (text, json.json())
    };
    let (text, json) = ask(port);
    assert_eq!(text, format!("port {port} is free\n"));
    assert_eq!((&json["state"], &json["holders"]), (&"free".into(), &Value::Array(Vec::new())));

    let stranger = project.misbehave(["listen", "--port", &port.to_string()]).start();
    stranger.wait_for("ready");
    let (text, json) = ask(port);
    let pid = stranger.pid();
    assert!(text.contains(&format!("port {port} is in use by misbehave (pid {pid}: ")), "{text}");
    let holder = &json["holders"][0];
    assert_eq!((&json["state"], &holder["pid"]), (&"in-use".into(), &pid.into()));
    assert_eq!(holder["folder"], project.dir().display().to_string());
    stranger.kill9();

    // A service that does not listen yet has its port anyway.
    let mut gate = project.gate("gate");
    project.configure(&format!(
            "[services.api]\ncommand = [\"{{misbehave}}\", \"listen\", \"--after-gate\", \"gate\"]\nport = {port}\n"
        ));
    let up = project.devstack(["up"]).start();
    up.wait_for("api * starting");
    let (text, json) = ask(port);
    assert!(text.contains("reserved by service api of stack "), "{text}");
    assert_eq!((&json["state"], &json["leased"]), (&"free".into(), &true.into()));
    gate.open();
    up.wait_for("is up");
    up.end();
    assert_eq!(ask(port).1["leased"], false);
    for wrong in ["0", "65536", "http"] {
        project.devstack(["ports", wrong]).run().expect_code(2);
    }
    project.finish();
}

#[test]
fn ports_change_hands_by_an_edit() {
    let project = TestProject::new();
    let (low, high) = (free_port(), free_port());
    let write = |a: u16, b: u16| {
        let text = format!(
            r#"
            [services.a]
            command = ["{{misbehave}}", "listen", "--http", "--stop-ms", "20"]
            port = {{ prefer = {a}, on_conflict = "fail" }}
            [services.b]
            command = ["{{misbehave}}", "listen", "--http"]
            port = {{ prefer = {b}, on_conflict = "fail" }}
            [services.c]
            command = ["{{misbehave}}", "run"]
            "#
        );
        project.configure(&text)
    };
    write(low, high);
    let up = project.up();
    let bystander = service(&project.ps(), "c")["pid"].clone();
    write(high, low);
    up.wait_for("applied the new configuration");
    let ps = project.wait_ps(|ps| {
        let at = |name, port: u16| {
            service(ps, name)["port"] == port && service(ps, name)["phase"] == "ready"
        };
        at("a", high) && at("b", low)
    });
    for (name, port) in [("a", high), ("b", low)] {
        assert_eq!(http_get(port, "/").json()["pid"], service(&ps, name)["pid"]);
        assert_eq!(service(&ps, name)["restarts"], 1);
    }
    assert_eq!(service(&ps, "c")["pid"], bystander);
    project.end(&up);
}
