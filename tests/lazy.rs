//! `start = "lazy"`: services that sleep until a client connects.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;

use serde_json::Value;

use crate::support::{
    EditedStack, TestProject, eventually, free_port, free_ports, http_get, occupy, service,
    try_http_get, wait_limit,
};

/// A service that keeps the stack up when others fail.
const OTHER: &str = "[services.other]\ncommand = 'exec sleep 1000'\n";

fn is_in(project: &TestProject, phases: &[(&str, &str)]) {
    let all = |ps: &Value| phases.iter().all(|(name, phase)| service(ps, name)["phase"] == *phase);
    project.wait_ps(all);
}

/// A service that answers HTTP once its gate is open.
fn gated(port: u16, keys: &str) -> String {
    format!(
        r#"
        [services.api]
        command = "echo begun; : < gate; exec {{misbehave}} listen --http"
        port = {port}
        start = "lazy"
        {keys}
        "#
    )
}

fn connect(port: u16) -> TcpStream {
    let client = TcpStream::connect(("127.0.0.1", port)).expect("nobody is refused");
    client.set_read_timeout(Some(wait_limit())).expect("not zero");
    client
}

fn is_refused(port: u16) -> bool {
    let tried = TcpStream::connect(("127.0.0.1", port));
    tried.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Reads until the other side closes, which it may do at any time.
fn rest(mut client: TcpStream) -> String {
    let mut bytes = Vec::new();
    match client.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn the_first_connection_starts_it_and_all_who_come_meanwhile_get_answers() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let port = free_port();
    project.configure(&gated(port, ""));
    let up = project.up();
    let summary = format!("asleep  starts with the first connection to http://127.0.0.1:{port}");
    up.wait_for(&summary);
    assert!(!up.stdout().contains("begun"), "{}", up.stdout());
    let ps = project.ps();
    let api = service(&ps, "api");
    assert_eq!(api["phase"], "asleep", "{ps}");
    assert_eq!((&api["port"], &api["pid"]), (&port.into(), &Value::Null), "{ps}");
    assert_eq!(api["url"], format!("http://127.0.0.1:{port}"), "{ps}");
    assert_eq!(api["ports"].as_object().map(serde_json::Map::len), Some(1), "{ps}");

    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut client = connect(port);
            client.write_all(b"GET /early HTTP/1.1\r\n\r\n").expect("somebody keeps it");
            client
        })
        .collect();
    up.wait_for(&format!("starting on port {port}: a client connected"));
    up.wait_for("| begun");
    gate.open();
    let answers: Vec<String> = clients.into_iter().map(rest).collect();
    let pid = service(&project.ps(), "api")["pid"].clone();
    for answer in answers {
        assert!(
            answer.contains("/early") && answer.contains(&format!("\"pid\":{pid}")),
            "{answer}"
        );
    }
    let later = http_get(port, "/later").json();
    assert_eq!(later["pid"], pid);
    assert_ne!(later["port"], port, "its program listens elsewhere, so nothing is refused");
    project.end(&up);
}

#[test]
fn a_server_that_speaks_first_is_heard_and_restarts_refuse_nobody() {
    let port = free_port();
    let config = format!(
        "[services.db]\ncommand = ['{{misbehave}}', 'listen']\nport = {port}\nstart = 'lazy'\n"
    );
    let project = TestProject::with_config(&config);
    let up = project.up();
    let first = rest(connect(port));
    assert!(first.starts_with("pid "), "{first}");
    let clients = thread::spawn(move || {
        let answers: Vec<String> = (0..200).map(|_| rest(connect(port))).collect();
        answers
    });
    for _ in 0..3 {
        project.devstack(["restart", "db"]).run().expect_code(0);
    }
    // A connection to a run that was told to stop may be cut, but none is refused.
    assert_eq!(clients.join().expect("nobody was refused").len(), 200);
    assert_ne!(rest(connect(port)), first);
    project.end(&up);
}

#[test]
fn it_sleeps_again_when_unused_and_wakes_again() {
    let port = free_port();
    let keys = "start = 'lazy'\nidle = '20ms'";
    let config = format!(
        "[services.api]\ncommand = ['{{misbehave}}', 'listen', '--http']\nport = {port}\n{keys}\n"
    );
    let project = TestProject::with_config(&config);
    let up = project.up();
    let first = http_get(port, "/").json()["pid"].clone();
    up.wait_for("asleep, starts with the first connection to http://127.0.0.1:");
    is_in(&project, &[("api", "asleep")]);
    let why = project.devstack(["why", "api"]).run().expect_code(0).stdout;
    assert!(
        why.contains(&format!("the first connection to http://127.0.0.1:{port} starts it")),
        "{why}"
    );
    // Whenever the next ones come, before, during or after a stop, they are answered.
    for _ in 0..30 {
        assert_eq!(http_get(port, "/").status, 200);
    }
    eventually("another run", || (http_get(port, "/").json()["pid"] != first).then_some(()));
    project.end(&up);
}

#[test]
fn a_dependency_wakes_with_what_needs_it() {
    let first = free_ports(2);
    let second = first + 1;
    let project = TestProject::with_config(&format!(
        r#"
            [services.db]
            command = ["{{misbehave}}", "listen"]
            port = {first}
            start = "lazy"
            [services.api]
            command = "echo db at ${{db.url}} $DEVSTACK_DB_PORT, own ${{api.port}} $PORT; exec {{misbehave}} listen --http"
            port = {second}
            start = "lazy"
            depends_on = ["db"]
            "#
    ));
    let up = project.up();
    is_in(&project, &[("db", "asleep"), ("api", "asleep")]);
    assert_eq!(http_get(second, "/").status, 200);
    is_in(&project, &[("db", "ready"), ("api", "ready")]);
    // Others use the door, the program itself its own port.
    let said = up.wait_for(&format!("db at http://127.0.0.1:{first} {first}, own "));
    let own = said.split("own ").nth(1).and_then(|own| own.split_once(' '));
    assert!(own.is_some_and(|(a, b)| a == b.trim() && a != second.to_string()), "{said}");
    project.end(&up);
}

#[test]
fn a_start_that_fails_closes_who_waits_and_refuses_the_next() {
    let port = free_port();
    let config = format!(
        "[services.api]\ncommand = 'echo no database; exit 3'\nport = {port}\nstart = 'lazy'\nrestart = 'no'\n{OTHER}"
    );
    let project = TestProject::with_config(&config);
    let up = project.up();
    let client = connect(port);
    assert_eq!(rest(client), "");
    up.wait_for("* failed: exited with code 3");
    is_in(&project, &[("api", "failed")]);
    eventually("a refusal", || is_refused(port).then_some(()));
    project.end(&up);
}

#[test]
fn a_program_that_insists_on_the_kept_port_is_told() {
    let port = free_port();
    let command = format!("'{{misbehave}}', 'listen', '--elsewhere', '{port}'");
    let config =
        format!("[services.api]\ncommand = [{command}]\nport = {port}\nstart = 'lazy'\n{OTHER}");
    let project = TestProject::with_config(&config);
    let up = project.up();
    assert_eq!(rest(connect(port)), "");
    up.wait_for(&format!("devstack itself keeps port {port} open, because the service is lazy"));
    is_in(&project, &[("api", "failed")]);
    project.end(&up);
}

#[test]
fn a_stop_stays_until_a_start() {
    let port = free_port();
    let config = format!(
        "[services.api]\ncommand = ['{{misbehave}}', 'listen', '--http']\nport = {port}\nstart = 'lazy'\n"
    );
    let project = TestProject::with_config(&config);
    let up = project.up();
    project.devstack(["stop", "api"]).run().expect_code(0);
    eventually("a refusal", || is_refused(port).then_some(()));
    assert_eq!(service(&project.ps(), "api")["phase"], "idle");
    project.devstack(["start", "api"]).run().expect_code(0);
    is_in(&project, &[("api", "ready")]);
    assert_eq!(http_get(port, "/").status, 200);
    project.devstack(["restart", "api"]).run().expect_code(0);
    assert_eq!(http_get(port, "/").status, 200);
    project.end(&up);
}

#[test]
fn asleep_is_success_in_the_background_and_for_who_waits() {
    let port = free_port();
    let project = TestProject::with_config(&format!(
        "[services.api]\ncommand = ['{{misbehave}}', 'listen']\nport = {port}\nstart = 'lazy'\n"
    ));
    let up = project.devstack(["up", "-d"]).run().expect_code(0);
    assert!(up.stderr.contains("asleep") || up.stdout.contains("asleep"), "{up:?}");
    project.devstack(["wait"]).run().expect_code(0);
    project.devstack(["wait", "api"]).run().expect_code(0);
    let refused = project.devstack(["wait", "--for", "ready", "api"]).run();
    assert!(refused.code() != 0 && refused.stderr.contains("api is asleep"), "{refused:?}");
    assert_eq!(service(&project.ps(), "api")["phase"], "asleep");
    project.devstack(["down"]).run().expect_code(0);
    project.finish();
}

#[test]
fn a_command_of_run_wakes_what_it_uses() {
    let port = free_ports(2);
    let project = TestProject::with_config(&format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen"]
        port = {port}
        start = "lazy"
        [services.spare]
        command = ["{{misbehave}}", "listen"]
        port = {}
        start = "lazy"
        "#,
        port + 1
    ));
    let command = "exec 3<>/dev/tcp/127.0.0.1/$DEVSTACK_API_PORT; read -r line <&3; echo got $line";
    let run = project.devstack(["run", "--", "bash", "-c", command]).run().expect_code(0);
    assert!(run.stdout.contains("got pid "), "{run:?}");
    project.finish();
}

#[test]
fn a_killed_devstack_leaves_nothing() {
    let port = free_port();
    let config = format!(
        "[services.api]\ncommand = ['{{misbehave}}', 'listen', '--mute']\nport = {port}\nstart = 'lazy'\n"
    );
    let project = TestProject::with_config(&config);
    let up = project.up();
    let client = connect(port);
    is_in(&project, &[("api", "ready")]);
    up.kill9();
    assert_eq!(rest(client), "");
    eventually("a refusal", || is_refused(port).then_some(()));
    eventually("the end of all", || project.alive().is_empty().then_some(()));
    project.finish();
}

#[test]
fn a_devstack_that_is_killed_while_all_sleeps_leaves_no_listener() {
    let port = free_port();
    let config = format!(
        "[services.api]\ncommand = ['{{misbehave}}', 'listen']\nport = {port}\nstart = 'lazy'\n"
    );
    let project = TestProject::with_config(&config);
    let killed = project.up();
    is_in(&project, &[("api", "asleep")]);
    killed.kill9();
    eventually("a refusal", || is_refused(port).then_some(()));
    project.configure(&config);
    let up = project.up();
    assert!(rest(connect(port)).starts_with("pid "));
    project.end(&up);
}

#[test]
fn a_taken_port_moves_the_door() {
    let port = free_ports(2);
    let other = occupy(port);
    let config = format!(
        "[services.api]\ncommand = ['{{misbehave}}', 'listen', '--http']\nport = {port}\nstart = 'lazy'\n"
    );
    let project = TestProject::with_config(&config);
    let up = project.up();
    let moved = service(&project.ps(), "api")["port"].as_u64().expect("a port");
    let moved = u16::try_from(moved).expect("a port");
    assert_ne!(moved, port);
    up.wait_for(&format!("starts with the first connection to http://127.0.0.1:{moved}"));
    assert_eq!(http_get(moved, "/").status, 200);
    drop(other);
    project.end(&up);
}

#[test]
fn edits_make_it_lazy_and_eager_while_the_stack_runs() {
    let port = free_port();
    let config = |keys: &str| {
        format!(
            "[services.api]\ncommand = ['{{misbehave}}', 'listen', '--http']\nport = {port}\n{keys}\n"
        )
    };
    let stack = EditedStack::start(TestProject::new(), &config("start = 'lazy'"));
    is_in(&stack.project, &[("api", "asleep")]);
    stack.apply(&config(""));
    is_in(&stack.project, &[("api", "ready")]);
    assert_eq!(http_get(port, "/").json()["port"], port);
    stack.apply(&config("start = 'lazy'"));
    is_in(&stack.project, &[("api", "ready")]);
    assert_ne!(http_get(port, "/").json()["port"], port);
    stack.apply(&config("start = 'lazy'\nidle = '10ms'"));
    is_in(&stack.project, &[("api", "asleep")]);
    let answer = try_http_get("127.0.0.1", port, "/").expect("nobody is refused");
    assert_eq!(answer.status, 200);
    stack.end();
}
