//! `pass = true`: sockets that devstack opens and hands over.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::support::{
    RunningProgram, TestProject, eventually, example_program, free_port, free_ports, http_get,
    require, require_program, service, try_http_get, wait_limit,
};

/// A service that answers on the socket it is passed.
fn answering(port: u16, keys: &str) -> String {
    format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen", "--passed", "--http"]
        port = {{ prefer = {port}, pass = true }}
        {keys}
        "#
    )
}

fn pid(ps: &Value, name: &str) -> u32 {
    let pid = service(ps, name)["pid"].as_u64().and_then(|pid| pid.try_into().ok());
    pid.unwrap_or_else(|| panic!("{name} has no pid in {ps}"))
}

fn is_refused(port: u16) -> bool {
    let tried = TcpStream::connect(("127.0.0.1", port));
    tried.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// A connection that has asked and waits for its answer.
struct Waiting(TcpStream);

impl Waiting {
    #[track_caller]
    fn at(port: u16) -> Waiting {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("it is not refused");
        connection.set_read_timeout(Some(wait_limit())).expect("not zero");
        connection.write_all(b"GET /waited HTTP/1.1\r\n\r\n").expect("somebody keeps it");
        Waiting(connection)
    }

    #[track_caller]
    fn answer(mut self) -> String {
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

#[test]
fn a_program_that_opens_the_port_itself_is_reported_and_keeps_it() {
    let (port, other) = (free_ports(2), free_ports(2));
    let project = TestProject::with_config(&format!(
        r#"
            [services.api]
            command = ["{{misbehave}}", "listen", "--http"]
            port = {{ prefer = {port}, pass = true }}
            restart = "no"
            [services.terse]
            command = "echo EADDRINUSE; exit 1"
            port = {{ prefer = {other}, pass = true }}
            restart = "no"
            [services.bystander]
            command = ["{{misbehave}}", "run"]
            "#
    ));
    let up = project.devstack(["up"]).start();
    for port in [port, other] {
        up.wait_for(&format!("devstack itself holds port {port} open to pass it on"));
    }
    let failed = |ps: &Value, name: &str| service(ps, name)["phase"] == "failed";
    let ps = project.wait_ps(|ps| failed(ps, "api") && failed(ps, "terse"));
    for (name, port) in [("api", port), ("terse", other)] {
        assert_eq!(service(&ps, name)["port"], port, "{ps}");
        assert_eq!(service(&ps, name)["restarts"], 0, "{ps}");
    }
    project.end(&up);
}

#[test]
fn a_service_gets_its_sockets_as_systemd_passes_them() {
    for tty in [false, true] {
        let first = free_ports(3);
        let project = TestProject::with_config(&format!(
            r#"
            [services.facts]
            command = "A=b {{misbehave}} --stay print-env LISTEN_PID LISTEN_FDS LISTEN_FDNAMES A"
            ports = {{ web = {{ prefer = {first}, pass = true }}, own = {}, admin = {{ prefer = {}, pass = true }} }}
            ready = {{ delay = "1ms" }}
            tty = {tty}
            [services.fds]
            command = ["{{misbehave}}", "--stay", "fdlist"]
            port = {{ prefer = "auto", pass = true }}
            ready = {{ notify = true, exec = "true" }}
            tty = {tty}
            [services.signals]
            command = ["{{misbehave}}", "sigmask"]
            port = {{ prefer = "auto", pass = true }}
            kind = "task"
            "#,
            first + 1,
            first + 2
        ));
        let up = project.devstack(["up"]).start();
        up.wait_for("facts   | LISTEN_FDNAMES=web:admin");
        up.wait_for("facts   | LISTEN_FDS=2");
        up.wait_for("facts   | A=b");
        let ready = up.wait_pid("facts   | ready");
        up.wait_for(&format!("facts   | LISTEN_PID={ready}"));
        let facts = project.wait_ps(|ps| service(ps, "facts")["phase"] == "ready");
        assert_eq!(pid(&facts, "facts"), ready, "no shell stays between");
        up.wait_for("fds     | ready");
        let open: Vec<String> = up
            .lines()
            .iter()
            .filter_map(|line| Some(line.strip_prefix("fds     | fd ")?[..].to_owned()))
            .collect();
        assert_eq!(open.len(), 4, "{open:?}");
        assert!(open[3].starts_with("3 socket:["), "{open:?}");
        assert_eq!(open[0].contains("/dev/pts/"), tty, "{open:?}");
        // Nothing blocked, nothing ignored.
        up.wait_for("signals | blocked");
        let signals = up.lines();
        for what in ["blocked", "ignored"] {
            assert!(signals.contains(&format!("signals | {what}")), "{signals:?}");
        }
        project.end(&up);
    }
}

#[test]
fn no_other_process_gets_them() {
    let project = TestProject::new();
    let port = free_port();
    let config = format!(
        r#"
        [services.api]
        command = ["{{misbehave}}", "listen", "--passed", "--http"]
        port = {{ prefer = {port}, pass = true }}
        ready = {{ exec = "{{misbehave}} fdlist > probe; {{misbehave}} print-env >> probe; echo whole >> probe" }}
        stop = {{ command = "{{misbehave}} fdlist > stop; {{misbehave}} print-env >> stop; kill $MAINPID" }}
        [services.other]
        command = "{{misbehave}} fdlist; {{misbehave}} print-env; echo whole"
        kind = "task"
        depends_on = ["api"]
        "#
    );
    project.configure(&config);
    let up = project
        .devstack(["up"])
        .env("LISTEN_FDS", "1")
        .env("LISTEN_PID", std::process::id().to_string())
        .env("LISTEN_FDNAMES", "theirs")
        .start();
    up.wait_for("other * completed");
    up.wait_for("is up");
    up.end();
    let other: Vec<String> =
        up.lines().into_iter().filter(|line| line.starts_with("other |")).collect();
    assert!(other.contains(&"other | whole".to_owned()), "{other:?}");
    for (who, text) in [
        ("probe", project.read("probe")),
        ("stop", project.read("stop")),
        ("other", other.join("\n")),
    ] {
        assert!(text.contains("fd 2 ") && text.contains("PATH="), "{who}: {text}");
        assert!(!text.contains("LISTEN_") && !text.contains("fd 3 "), "{who}: {text}");
    }
    project.finish();
}

#[test]
fn a_connection_waits_for_the_next_run_and_a_stop_refuses() {
    let project = TestProject::new();
    let port = free_port();
    let restart = "restart = { policy = \"always\", delay = \"10ms\", max = 1000 }";
    let mut gate = project.gate("go");
    // After the first run, each waits for the gate before it takes what is there.
    let config = answering(port, restart).replace(
        "[\"{misbehave}\", \"listen\"",
        &format!("[\"{{misbehave}}\", \"listen\", \"--after-gate\", \"{}\"", gate.path().display()),
    );
    gate.open();
    project.configure(&config);
    let up = project.up();
    let first = pid(&project.ps(), "api");
    assert_eq!(http_get(port, "/").json()["pid"], first);
    gate.shut();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(first.cast_signed()).expect("a pid"),
        rustix::process::Signal::KILL,
    )
    .expect("it runs");
    up.wait_for("SIGKILL");
    // Whether it is in back-off or starting: no process accepts connections now.
    let waiting = Waiting::at(port);
    gate.open();
    let answer = waiting.answer();
    let ps = project.wait_ps(|ps| service(ps, "api")["phase"] == "ready");
    assert!(answer.contains(&format!("\"pid\":{}", pid(&ps, "api"))), "{answer}");
    assert_ne!(pid(&ps, "api"), first);

    // The holder is the service, not devstack.
    let table = project.devstack(["ports"]).run().expect_code(0).stdout;
    assert!(table.contains(&format!("misbehave (pid {}: ", pid(&ps, "api"))), "{table}");
    let one = project.devstack(["ports", &port.to_string()]).run().expect_code(0).stdout;
    assert!(
        one.starts_with(&format!("port {port} is in use by service api of stack app")),
        "{one}"
    );

    project.devstack(["stop", "api"]).run().expect_code(0);
    assert!(is_refused(port));
    project.devstack(["start", "api"]).run().expect_code(0);
    assert_eq!(http_get(port, "/").status, 200);
    project.end(&up);
    assert!(is_refused(port));
}

#[test]
fn a_socket_listens_on_the_host_of_the_service() {
    for (host, at, not_at) in [
        ("127.0.0.1", "127.0.0.1", Some("::1")),
        ("::1", "::1", Some("127.0.0.1")),
        ("::", "127.0.0.1", None),
        ("localhost", "127.0.0.1", None),
    ] {
        let ipv6 = !host.contains(':') || std::net::TcpListener::bind((host, 0)).is_ok();
        if !require("IPv6", ipv6) {
            continue;
        }
        let port = free_port();
        let project = TestProject::with_config(&answering(port, &format!("host = \"{host}\"")));
        let up = project.up();
        assert_eq!(try_http_get(at, port, "/").expect("it listens there").status, 200);
        if let Some(not_at) = not_at {
            TcpStream::connect((not_at, port)).expect_err("it does not listen there");
        }
        project.end(&up);
    }
}

#[test]
fn one_that_is_over_refuses_too() {
    let port = free_port();
    let gone = format!(
        r#"
        [services.gone]
        command = ["{{misbehave}}", "exit", "3"]
        port = {{ prefer = {port}, pass = true }}
        restart = "no"
        [services.stays]
        command = ["{{misbehave}}", "run"]
        "#
    );
    let project = TestProject::with_config(&gone);
    let up = project.devstack(["up"]).start();
    project.wait_ps(|ps| service(ps, "gone")["phase"] == "failed");
    eventually("connections to be refused", || is_refused(port).then_some(()));
    project.end(&up);
}

#[test]
fn a_reload_moves_closes_and_toggles_sockets() {
    let port = free_ports(2);
    let other = "[services.other]\ncommand = [\"{misbehave}\", \"run\"]\n";
    let project = TestProject::with_config(&(answering(port, "") + other));
    let up = project.up();
    let first = pid(&project.ps(), "api");
    // Nothing that matters changed.
    project.configure(&(answering(port, "color = \"red\"") + other));
    up.wait_for("color changed");
    assert_eq!(pid(&project.ps(), "api"), first);

    project.configure(&(answering(port + 1, "") + other));
    up.wait_count(2, "api   * ready");
    assert_eq!(http_get(port + 1, "/").status, 200);
    assert!(is_refused(port));

    let own = answering(port + 1, "").replace(", pass = true", "").replace("\"--passed\", ", "");
    project.configure(&(own.clone() + other));
    up.wait_count(3, "api   * ready");
    assert_eq!(http_get(port + 1, "/").status, 200);

    // Only this changes: a process keeps the descriptors it was started with.
    project.configure(&(own.replace(" }\n", ", pass = true }\n") + other));
    up.wait_for("restart: passed sockets changed");
    project.configure(other);
    up.wait_line(|line| line.trim_start().starts_with("api ") && line.ends_with(" removed"));
    eventually("connections to be refused", || is_refused(port + 1).then_some(()));
    project.end(&up);
}

#[test]
fn a_port_goes_from_one_service_to_another() {
    let port = free_ports(2);
    let two = |a: u16, b: u16| {
        answering(a, "") + &answering(b, "").replace("services.api", "services.web")
    };
    let project = TestProject::with_config(&two(port, port + 1));
    let up = project.up();
    project.configure(&two(port + 1, port));
    up.wait_count(2, "web * ready");
    up.wait_count(2, "api * ready");
    let ps = project.ps();
    assert_eq!(http_get(port, "/").json()["pid"], pid(&ps, "web"));
    assert_eq!(http_get(port + 1, "/").json()["pid"], pid(&ps, "api"));
    project.end(&up);
}

#[test]
fn a_queue_is_no_answer() {
    let port = free_port();
    let project = TestProject::with_config(&format!(
        r#"
        [services.deaf]
        command = ["{{misbehave}}", "run"]
        port = {{ prefer = {port}, pass = true }}
        ready = {{ timeout = "100ms" }}
        [services.rude]
        command = ["{{misbehave}}", "listen", "--passed", "--http", "--status", "404"]
        port = {{ prefer = "auto", pass = true }}
        "#
    ));
    let up = project.devstack(["up"]).start();
    // Any answer is one.
    up.wait_for("rude * ready");
    let late = up.wait_for("deaf * ");
    assert!(!late.contains("ready in"), "{late}");
    TcpStream::connect(("127.0.0.1", port)).expect("the queue takes it");
    project.wait_ps(|ps| service(ps, "deaf")["message"]["class"] == "ready-timeout");
    assert_ne!(service(&project.ps(), "deaf")["phase"], "ready");
    project.end(&up);
}

#[test]
fn a_lost_port_names_its_holder() {
    let port = free_port();
    let thief = format!(
        "[services.thief]\ncommand = [\"{{misbehave}}\", \"listen\", \"--port\", \"{port}\"]\nready = {{ tcp = {port} }}\n[stack]\non_conflict = \"fail\"\n"
    );
    // The thief has no port of its own in the file, so it is started on one that was chosen for `api`.
    let project = TestProject::with_config(&(thief + &answering(port, "depends_on = [\"thief\"]")));
    let up = project.devstack(["up"]).start();
    let failed = project.wait_ps(|ps| service(ps, "api")["phase"] == "failed");
    let message = &service(&failed, "api")["message"];
    assert_eq!(message["class"], "port");
    let text = message["text"].as_str().expect("a text");
    assert!(
        text.starts_with(&format!("port {port} is in use by service thief of stack app")),
        "{text}"
    );
    project.end(&up);
}

#[test]
fn a_shell_that_stays_is_reported() {
    let project = TestProject::with_config(
        r#"
        [services.pipe]
        command = "true | {misbehave} --stay print-env LISTEN_PID"
        port = { prefer = "auto", pass = true }
        ready = { delay = "1ms" }
        [services.chain]
        command = "cd / && {misbehave} listen --passed --http"
        port = { prefer = "auto", pass = true }
        "#,
    );
    let up = project.devstack(["up"]).start();
    // The shell becomes the last program of a chain.
    up.wait_for("chain * ready in");
    up.wait_for("pipe  * the program runs under a shell");
    assert!(!up.lines().iter().any(|line| line.contains("chain * the program runs under a shell")));
    project.end(&up);
}

/// What became of the connections of a client that asks all the time.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    /// By process.
    pids: BTreeMap<String, usize>,
    lost: Vec<String>,
}

/// How many ask at once.
const CLIENTS: usize = 4;

/// Requests on a new connection each time, until stopped.
fn ask_all_the_time(port: u16, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        match ask(port) {
            Ok(pid) => {
                tally.answered += 1;
                *tally.pids.entry(pid).or_default() += 1;
            }
            Err(why) => tally.lost.push(why),
        }
    }
    tally
}

fn ask(port: u16) -> Result<String, String> {
    match try_http_get("127.0.0.1", port, "/") {
        Ok(reply) if reply.status == 200 && reply.body.starts_with("pid ") => Ok(reply.body),
        Ok(reply) => Err(format!("{reply:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Restarts `web` so often while clients ask, and fails when one of them is refused or gets no whole answer.
#[track_caller]
fn refuses_no_connection(project: TestProject, up: &RunningProgram, port: u16, restarts: usize) {
    up.wait_for("is up");
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || ask_all_the_time(port, &stop))
        })
        .collect();
    for _ in 0..restarts {
        project.devstack(["restart", "web"]).run().expect_code(0);
    }
    stop.store(true, Ordering::Relaxed);
    let tallies: Vec<Tally> =
        clients.into_iter().map(|client| client.join().expect("it does not panic")).collect();
    let lost: Vec<&String> = tallies.iter().flat_map(|tally| &tally.lost).collect();
    let answered: usize = tallies.iter().map(|tally| tally.answered).sum();
    assert!(
        lost.is_empty(),
        "{} lost, {answered} not: {:?}",
        lost.len(),
        &lost[..lost.len().min(5)]
    );
    let pids: std::collections::BTreeSet<&String> =
        tallies.iter().flat_map(|tally| tally.pids.keys()).collect();
    // Each run has answered a client, so they were connected all the time.
    assert!(pids.len() > restarts / 2, "{} processes, {answered} answers", pids.len());
    assert_eq!(service(&project.ps(), "web")["restarts"], restarts);
    project.end(up);
}

fn web(command: &str, port: u16, keys: &str) -> String {
    format!(
        "[services.web]\ncommand = {command}\nport = {{ prefer = {port}, pass = true }}\n{keys}\n"
    )
}

#[test]
fn a_hundred_restarts_of_a_rust_server_refuse_no_connection() {
    let port = free_port();
    let server = example_program("passed", "examples/passing");
    let project = TestProject::with_config(&web(&format!("[\"{}\"]", server.display()), port, ""));
    let up = project.devstack(["up"]).start();
    refuses_no_connection(project, &up, port, 100);
}

#[test]
fn restarts_of_a_node_server_refuse_no_connection() {
    let Some(node) = require_program("node") else { return };
    let port = free_port();
    let script = dir().join("serve.js");
    let command = format!("[\"{}\", \"{}\"]", node.display(), script.display());
    let project = TestProject::with_config(&web(&command, port, ""));
    let up = project.devstack(["up"]).start();
    refuses_no_connection(project, &up, port, 20);
}

#[test]
fn restarts_of_gunicorn_refuse_no_connection() {
    if !is_set_up() {
        return;
    }
    let port = free_port();
    let gunicorn = dir().join(".venv/bin/gunicorn");
    let command =
        format!("[\"{}\", \"--chdir\", \"{}\", \"app:wsgi\"]", gunicorn.display(), dir().display());
    let project = TestProject::with_config(&web(&command, port, "stop = { grace = \"60s\" }"));
    let up = project.devstack(["up"]).start();
    refuses_no_connection(project, &up, port, 20);
}

#[test]
fn uvicorn_takes_its_socket_by_number() {
    if !is_set_up() {
        return;
    }
    let port = free_port();
    let uvicorn = dir().join(".venv/bin/uvicorn");
    let command =
        format!("\"{} app:asgi --app-dir {} --fd 3\"", uvicorn.display(), dir().display());
    let project = TestProject::with_config(&web(&command, port, "stop = { grace = \"60s\" }"));
    let up = project.up();
    let first = http_get(port, "/").body;
    project.devstack(["restart", "web"]).run().expect_code(0);
    let second = http_get(port, "/").body;
    assert!(first.starts_with("pid ") && second.starts_with("pid ") && first != second);
    project.end(&up);
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/passing")
}

fn is_set_up() -> bool {
    let there = dir().join(".venv/installed").is_file();
    require("examples/passing set up (examples/passing/setup.sh)", there)
}
