//! Debug mode, with real debuggers and without.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{
    RunningProgram, TestProject, eventually, free_port, free_ports, http_get, occupy, require,
    require_program, service, try_http_get, wait_limit,
};

mod dap;

use dap::Dap;

/// A service that prints a line every 100 ms, for tests that let every time limit pass.
const CLOCK: &str = r#"
[services.clock]
command = "while sleep 0.1; do echo tick; done"
"#;

/// Limits that have passed many times when the clock has struck so often.
const SHORT: &str = r#"
ready = { http = "/health", timeout = "100ms", interval = "50ms" }
health = { http = "/health", interval = "100ms", failures = 1, action = "restart" }
stop = { grace = "100ms" }
"#;

fn up(project: &TestProject, config: &str, args: &[&str]) -> RunningProgram {
    project.configure(config);
    project.devstack(["up"].iter().chain(args)).start()
}

#[track_caller]
fn say(project: &TestProject, args: &[&str]) -> String {
    project.devstack(args).run().expect_code(0).stdout
}

/// Waits until every limit of [`SHORT`] has passed many times over.
#[track_caller]
fn let_time_pass(up: &RunningProgram) {
    let struck =
        up.lines().iter().filter(|line| line.contains("clock") && line.ends_with("tick")).count();
    up.wait_count(struck + 20, "| tick");
}

/// Python with debugpy and Flask, as tests/debug/setup.sh installs it.
#[track_caller]
fn python() -> Option<PathBuf> {
    let venv = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/debuggers/.venv"));
    let there = require("debugpy (tests/debug/setup.sh)", venv.join("installed").exists());
    there.then(|| venv.join("bin/python"))
}

/// A service that needs nothing to be debugged with: it listens on `DEBUG_PORT` and answers there.
fn listener(name: &str, port: u16, keys: &str) -> String {
    format!(
        r#"
        [services.{name}]
        command = ["{{misbehave}}", "run"]
        debug = {{ command = ["{{misbehave}}", "listen", "--http", "--port", "${{DEBUG_PORT}}"], port = {port} }}
        {keys}
        "#
    )
}

const FLASK: &str = r#"
from flask import Flask

app = Flask(__name__)

@app.get("/health")
def health():
    return "well"

@app.get("/answer")
def answer():
    value = 6 * 7
    return str(value)
"#;

#[test]
fn a_breakpoint_in_flask_outlasts_every_time_limit() {
    let Some(python) = python() else { return };
    let project = TestProject::new();
    let (port, debugger) = (free_port(), free_port());
    let app = project.write("app.py", FLASK).canonicalize().unwrap();
    let python = python.display();
    let up = up(
        &project,
        &format!(
            r#"
            [services.api]
            command = "{python} -m flask --app app run --port $PORT"
            port = {port}
            watch = ["*.py"]
            debug = {{ command = "exec {python} -Xfrozen_modules=off -m debugpy --listen $DEBUG_HOST:$DEBUG_PORT -m flask --app app run --port $PORT", port = {debugger} }}
            {SHORT}
            {CLOCK}
            "#
        ),
        &["--debug=api"],
    );
    up.wait_for(&format!("api   * debug   attach debugpy at 127.0.0.1:{debugger}"));
    up.wait_for("api   * ready");
    up.wait_for(&format!("      debug   attach debugpy at 127.0.0.1:{debugger}"));
    let before = project.ps();
    let mut dap = Dap::attach(debugger, &app, 14);
    let asked = std::thread::spawn(move || http_get(port, "/answer"));
    let thread = dap.stopped();
    project.write("app.py", &format!("{FLASK}# saved\n"));
    up.wait_for("api   * restart postponed: app.py changed while api is being debugged");
    let_time_pass(&up);
    let ps = project.ps();
    let (api, was) = (service(&ps, "api"), service(&before, "api"));
    assert_eq!((&api["pid"], &api["phase"]), (&was["pid"], &"ready".into()), "{:?}", up.lines());
    assert!(!asked.is_finished(), "it stands at the breakpoint");
    dap.go_on(thread);
    let reply = asked.join().expect("an answer");
    assert_eq!((reply.status, reply.body.as_str()), (200, "42"));
    drop(dap);
    // The adapter has left the process group, and is killed anyway.
    project.end(&up);
}

/// What Node's inspector reports about itself. It does not end the connection.
fn inspector(port: u16) -> Option<Value> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    connection.set_read_timeout(Some(wait_limit())).expect("not zero");
    connection.write_all(b"GET /json/version HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    let mut said = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        said.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, text)) if name.eq_ignore_ascii_case("content-length") => {
                length = text.parse().expect("a number");
            }
            None if line.trim_end().is_empty() => break,
            Some(_) | None => {}
        }
    }
    let mut body = vec![0; length];
    said.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

#[test]
fn the_inspector_of_node_answers_on_its_port() {
    if require_program("node").is_none() {
        return;
    }
    let project = TestProject::new();
    let (port, debugger) = (free_port(), free_port());
    project.write(
        "server.js",
        "require('http').createServer((_, answer) => answer.end(process.env.DEVSTACK_MODE)).listen(process.env.PORT)",
    );
    let config = |wait: bool| {
        format!(
            r#"
            [services.web]
            command = ["node", "server.js"]
            port = {port}
            ready = {{ http = "/" }}
            debug = {{ command = "exec node --inspect${{DEBUG_WAIT:+-brk}}=$DEBUG_HOST:$DEBUG_PORT server.js", port = {debugger}, wait = {wait} }}
            "#
        )
    };
    let up = up(&project, &config(false), &[]);
    up.wait_for("web * ready");
    assert_eq!(http_get(port, "/").body, "run");
    assert!(inspector(debugger).is_none());
    let told = say(&project, &["debug", "web"]);
    assert_eq!(told, format!("web: attach node inspector at 127.0.0.1:{debugger}\n"));
    let version = inspector(debugger).expect("it answers");
    assert!(
        version["Browser"].as_str().is_some_and(|text| text.starts_with("node.js/")),
        "{version}"
    );
    let ps = project.wait_ps(|ps| service(ps, "web")["phase"] == "ready");
    let web = service(&ps, "web");
    assert_eq!((&ps["mode"], &web["mode"]), (&"debug".into(), &"debug".into()));
    assert_eq!(web["port"], port);
    assert_eq!(web["ports"]["debug"], debugger);
    let attach = format!("127.0.0.1:{debugger}");
    let expected = serde_json::json!({ "port": debugger, "debugger": "node inspector", "attach": attach, "listening": true });
    assert_eq!(web["debug"], expected);
    assert_eq!(http_get(port, "/").body, "debug");

    // Waiting for the debugger: the answer does not wait with it.
    project.configure(&config(true));
    up.wait_count(2, "web * debug   attach");
    assert!(inspector(debugger).is_some());
    say(&project, &["restart", "web"]);
    assert_eq!(service(&project.ps(), "web")["phase"], "starting");
    assert!(try_http_get("127.0.0.1", port, "/").is_err(), "it waits for the debugger");

    assert_eq!(say(&project, &["debug", "--off", "web"]), "web: in run mode\n");
    assert_eq!(http_get(port, "/").body, "run");
    let ps = project.ps();
    assert_eq!((&ps["mode"], &service(&ps, "web")["debug"]), (&"run".into(), &Value::Null));
    assert!(inspector(debugger).is_none());
    project.end(&up);
}

#[cfg(target_os = "linux")]
#[test]
fn gdbserver_serves_a_native_program() {
    use crate::support::misbehave;

    let (Some(gdb), Some(_)) = (require_program("gdb"), require_program("gdbserver")) else {
        return;
    };
    let project = TestProject::new();
    let run = ["-nx", "-batch", "-ex", "run", "--args"].map(str::to_owned);
    let program = [misbehave().display().to_string(), "print-env".to_owned(), "TERM".to_owned()];
    let tried = project.program(&gdb).args(run.iter().chain(&program)).run();
    if !require("the right to trace processes", tried.stdout.contains("exited normally")) {
        return;
    }
    let debugger = free_port();
    let up = up(
        &project,
        &format!(
            r#"
            [services.native]
            command = ["{{misbehave}}", "--stay", "print-env", "DEVSTACK_MODE"]
            ready = {{ log = "DEVSTACK_MODE", timeout = "100ms" }}
            debug = {{ command = ["gdbserver", "--once", "${{DEBUG_HOST}}:${{DEBUG_PORT}}", "{{misbehave}}", "--stay", "print-env", "DEVSTACK_MODE"], port = {debugger}, wait = true }}
            {CLOCK}
            "#
        ),
        &["--debug"],
    );
    up.wait_for(&format!("native * debug   attach gdbserver at 127.0.0.1:{debugger}"));
    let_time_pass(&up);
    assert_eq!(service(&project.ps(), "native")["phase"], "starting", "it waits for gdb");
    let target = format!("target remote 127.0.0.1:{debugger}");
    let gdb = project.program(&gdb).args(["-nx", "-batch", "-ex", &target, "-ex", "detach"]).run();
    assert!(gdb.stdout.contains("detached"), "{}{}", gdb.stdout, gdb.stderr);
    up.wait_for("native | DEVSTACK_MODE=debug");
    up.wait_for("native * ready");
    project.end(&up);
}

#[test]
fn a_stop_waits_until_it_is_asked_for_again() {
    let project = TestProject::new();
    let config = format!(
        r#"
        [services.api]
        command = "true"
        stop = {{ grace = "50ms" }}
        debug = {{ command = ["{{misbehave}}", "ignore", "TERM"] }}
        {CLOCK}
        "#
    );
    let up = up(&project, &config, &["--debug=api"]);
    let pid = up.wait_pid("api   | ready");
    let stop = project.devstack(["stop", "api"]).start();
    up.wait_for("api   * api did not stop within 50ms: it is being debugged");
    let_time_pass(&up);
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["pid"], pid, "{ps}");
    assert!(stop.is_running());
    say(&project, &["stop", "api"]);
    assert_eq!(stop.wait_code(), 0);
    assert_eq!(service(&project.ps(), "api")["exit"]["signal"], "KILL");
    project.end(&up);
}

#[test]
fn ctrl_c_twice_ends_what_does_not_stop() {
    let project = TestProject::new();
    let config = r#"
        [services.api]
        command = "true"
        stop = { grace = "50ms" }
        debug = { command = ["{misbehave}", "ignore", "TERM"] }
        "#;
    let up = up(&project, config, &["--debug"]);
    up.wait_pid("api | ready");
    up.interrupt();
    up.wait_for("api * api did not stop within 50ms: it is being debugged");
    project.end(&up);
}

#[test]
fn a_service_that_cannot_be_debugged_is_named_before_anything_starts() {
    let project = TestProject::with_config(
        &(listener("api", 5678, "") + "[services.web]\ncommand = \"true\"\n"),
    );
    for (args, text, help) in [
        ("--debug=web", "web has no `debug` entry", "services that have one: api"),
        ("--debug=api,apu", "unknown service `apu`", "did you mean `api`?"),
    ] {
        let ended = project.devstack(["up", args]).run().expect_code(2);
        assert!(ended.stderr.contains(text) && ended.stderr.contains(help), "{}", ended.stderr);
    }
    project.configure("[services.web]\ncommand = \"true\"\n");
    let ended = project.devstack(["up", "--debug"]).run().expect_code(2);
    assert!(ended.stderr.contains("no service has a `debug` entry"), "{}", ended.stderr);
    project.finish();
}

#[test]
fn the_mode_outlives_edits_and_ends_with_its_entry() {
    let project = TestProject::new();
    let first = free_ports(2);
    let entry = listener("api", first, "watch = [\"*.txt\"]");
    let up = up(&project, &entry, &[]);
    up.wait_for("is up");
    let refused = project.devstack(["debug", "apu"]).run().expect_code(3);
    assert!(refused.stderr.contains("unknown service `apu`"), "{}", refused.stderr);
    say(&project, &["debug", "api"]);
    let debugged = service(&project.ps(), "api")["pid"].clone();
    // An edit in place, and one that restarts: it stays in debug mode.
    project.configure(&format!("{entry}\nstop = {{ grace = \"1s\" }}"));
    up.wait_for("api  stop changed, no restart needed");
    assert_eq!(service(&project.ps(), "api")["pid"], debugged);
    project.configure(&format!("{entry}\nenv = {{ A = \"b\" }}"));
    up.wait_for("api  restart: env changed: A");
    let ps = project.wait_ps(|ps| {
        service(ps, "api")["debug"]["listening"] == true && service(ps, "api")["pid"] != debugged
    });
    assert_eq!(service(&ps, "api")["debug"]["port"], first);
    // Another port for the debugger.
    project.configure(&listener("api", first + 1, ""));
    project.wait_ps(|ps| {
        service(ps, "api")["debug"]["port"] == first + 1
            && service(ps, "api")["debug"]["listening"] == true
    });
    let without = "[services.api]\ncommand = [\"{misbehave}\", \"run\"]\n";
    project.configure(without);
    up.wait_for("* api no longer has a `debug` entry: back in run mode");
    project.wait_ps(|ps| {
        service(ps, "api")["mode"] == "run" && service(ps, "api")["phase"] == "ready"
    });
    let refused = project.devstack(["debug", "api"]).run().expect_code(2);
    assert!(refused.stderr.contains("api has no `debug` entry"), "{}", refused.stderr);
    project.end(&up);
}

#[test]
fn debuggers_have_ports_like_any_other() {
    let project = TestProject::new();
    let first = free_ports(4);
    let taken = occupy(first);
    let config = listener("api", first, "")
        + &listener("web", first, "port = \"auto\"\nready = { delay = \"1ms\" }");
    let up = up(&project, &config, &["--debug"]);
    up.wait_for("is up");
    let port = |ps: &Value, name: &str| service(ps, name)["debug"]["port"].as_u64().unwrap();
    let ps = project.ps();
    let (api, web) = (port(&ps, "api"), port(&ps, "web"));
    assert!(api != u64::from(first) && web != api, "{ps}");
    assert_eq!(service(&ps, "api")["port"], Value::Null, "the debugger's is not its main port");
    assert_eq!(service(&ps, "api")["wanted_ports"]["debug"], first);
    let moved = format!("port {first} is in use by");
    assert!(up.lines().iter().any(|line| line.contains(&moved)), "{:?}", up.lines());
    drop(taken);
    let table = say(&project, &["ports"]);
    assert!(table.contains(&api.to_string()), "{table}");
    // In run mode any process may use the port again.
    say(&project, &["debug", "--off", "api"]);
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["ports"], serde_json::json!({}));
    say(&project, &["stop", "web"]);
    up.end();
    // Pinned from outside.
    let up =
        project.devstack(["up", "--debug=api", &format!("--port=api.debug={}", first + 3)]).start();
    up.wait_for("is up");
    assert_eq!(port(&project.ps(), "api"), u64::from(first + 3));
    project.end(&up);
}

#[test]
fn ports_that_are_taken_before_the_start_move_and_leave_the_mode_alone() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let first = free_ports(6);
    let config = r#"
        [services.gate]
        kind = "task"
        command = ["{misbehave}", "gate", "gate"]
        "#
    .to_owned()
        + &listener("api", first, "depends_on = [\"gate\"]")
        + &listener(
            "web",
            first + 2,
            &format!(
                "depends_on = [\"gate\"]\nport = {}\nready = {{ delay = \"1ms\" }}",
                first + 4
            ),
        );
    let up = up(&project, &config, &["--debug"]);
    up.wait_for("waiting gate");
    // The debugger's port of one, the main port of the other.
    let _thieves = [occupy(first), occupy(first + 4)];
    gate.open();
    up.wait_for("is up");
    let ps = project.ps();
    let debug = |ps: &Value, name: &str| {
        assert_eq!(service(ps, name)["mode"], "debug", "{ps}");
        service(ps, name)["debug"]["port"].as_u64().unwrap()
    };
    assert_eq!(debug(&ps, "api"), u64::from(first) + 1, "{ps}");
    assert_eq!(service(&ps, "web")["port"], u64::from(first) + 5, "{ps}");
    assert_eq!(debug(&ps, "web"), u64::from(first) + 2, "its debugger's stays: {ps}");
    for name in ["api", "web"] {
        assert_eq!(service(&ps, name)["restarts"], 0, "nothing was started in vain: {ps}");
        say(&project, &["debug", name]);
    }
    assert!(http_get(first + 1, "/").status == 200 && http_get(first + 2, "/").status == 200);
    project.end(&up);
}

#[test]
fn a_service_whose_debugger_has_no_port_stays_in_run_mode() {
    let project = TestProject::new();
    let first = free_ports(2);
    let config = listener("api", first, "autostart = false") + &listener("web", first + 1, "");
    project.configure(&config);
    let strict = ["up", "--strict-ports", "web"];
    let up = project.devstack(strict).start();
    up.wait_for("is up");
    // Started by hand, so that no selection knows of it.
    say(&project, &["start", "api"]);
    let before = project.ps();
    let taken = occupy(first);
    let refused = project.devstack(["debug", "api"]).run();
    assert_ne!(refused.code(), 0, "{}", refused.stdout);
    assert!(refused.stderr.contains(&format!("port {first} ")), "{}", refused.stderr);
    let ps = project.ps();
    for key in ["pid", "mode"] {
        assert_eq!(service(&ps, "api")[key], service(&before, "api")[key], "{ps}");
    }
    // Another port that is taken is no reason to refuse a switch.
    say(&project, &["debug", "web"]);
    drop(taken);
    say(&project, &["debug", "api"]);
    assert_eq!(service(&project.ps(), "api")["debug"]["port"], first);
    project.end(&up);
}

#[test]
fn a_held_save_is_taken_by_a_restart() {
    let project = TestProject::new();
    project.write("a.txt", "1");
    let up = up(&project, &listener("api", free_port(), "watch = [\"*.txt\"]"), &["--debug"]);
    up.wait_for("api * debug   attach");
    let before = service(&project.ps(), "api")["pid"].clone();
    project.write("a.txt", "2");
    up.wait_for("api * restart postponed: a.txt changed while api is being debugged");
    up.wait_for("help: run `devstack restart api` to apply the change");
    let held = project.ps();
    assert_eq!(service(&held, "api")["pid"], before);
    assert!(
        service(&held, "api")["message"]["text"].as_str().unwrap().starts_with("restart postponed")
    );
    say(&project, &["restart", "api"]);
    let after = project.ps();
    assert_ne!(service(&after, "api")["pid"], before);
    assert_eq!(service(&after, "api")["mode"], "debug");
    assert_eq!(service(&after, "api")["message"], Value::Null);
    project.end(&up);
}

#[test]
fn modes_change_without_a_watch_and_whatever_the_file_says_now() {
    let project = TestProject::new();
    let up = up(&project, &listener("api", free_port(), ""), &["--no-watch"]);
    up.wait_for("is up");
    project.configure("nonsense");
    say(&project, &["debug", "api"]);
    assert_eq!(service(&project.ps(), "api")["mode"], "debug");
    say(&project, &["debug", "--off", "api"]);
    assert_eq!(service(&project.ps(), "api")["mode"], "run");
    project.end(&up);
}

#[test]
fn vs_code_gets_an_entry_for_each_and_keeps_what_is_there() {
    let project = TestProject::new();
    let ports = free_ports(2);
    let config = format!(
        r#"
        [services.api]
        command = "true"
        debug = {{ command = "python -m debugpy --listen $DEBUG_PORT app.py", port = {ports} }}
        [services.odd]
        command = "true"
        debug = {{ command = "./odd" }}
        [services.web]
        command = "true"
        "#
    );
    project.configure(&config);
    project.write(".vscode/launch.json", "{\n  // mine\n  \"configurations\": []\n}\n");
    let dry = project.devstack(["export", "vscode", "--dry-run"]).run().expect_code(0);
    assert!(
        dry.stdout.contains("devstack: api") && dry.stdout.contains("// mine"),
        "{}",
        dry.stdout
    );
    assert!(!project.read(".vscode/launch.json").contains("devstack"));
    let told = say(&project, &["export", "vscode"]);
    assert_eq!(
        told,
        format!(
            ".vscode/launch.json written: api (debugpy at 127.0.0.1:{ports})\n\
             skipped: odd (unknown debugger in `debug.command`), web (no `debug` entry)\n"
        )
    );
    assert_eq!(project.read(".vscode/launch.json"), dry.stdout);
    assert!(say(&project, &["export", "vscode"]).starts_with(".vscode/launch.json is up to date"));

    // The stack that runs knows better.
    let up =
        project.devstack(["up", "--debug=api", &format!("--port=api.debug={}", ports + 1)]).start();
    up.wait_for("api * starting");
    let told = say(&project, &["export", "vscode"]);
    assert!(told.contains(&format!("api (debugpy at 127.0.0.1:{})", ports + 1)), "{told}");
    assert!(project.read(".vscode/launch.json").contains("// mine"));
    up.interrupt();
    eventually("its end", || (!up.is_running()).then_some(()));
    project.configure("[services.web]\ncommand = \"true\"\n");
    let ended = project.devstack(["export", "vscode"]).run().expect_code(1);
    assert!(
        ended.stderr.contains("nothing to attach to: web (no `debug` entry)"),
        "{}",
        ended.stderr
    );
    project.finish();
}
