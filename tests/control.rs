//! A running stack, seen and steered from another terminal.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{
    MarkerLog, RunningProgram, TestProject, eventually, free_port, free_ports, http_get,
    http_socket, occupy, service, up,
};

/// The answer about a stack, without what changes while nothing happens.
fn standing(mut ps: Value) -> Value {
    for service in ps["services"].as_array_mut().expect("a list") {
        service["cpu_percent"] = Value::Null;
        service["memory_bytes"] = Value::Null;
    }
    ps
}

/// Two services that stay.
const PAIR: &str = r#"
    [stack]
    name = "shop"
    [services.api]
    command = ["{misbehave}", "marker", "marks", "--trap"]
    [services.worker]
    command = ["{misbehave}", "marker", "marks", "--trap"]
    "#;

#[test]
fn ps_says_everything_that_programs_read() {
    let project = TestProject::new();
    let first = free_ports(3);
    let (wanted, pinned, metrics) = (first, first + 1, first + 2);
    let stranger = occupy(wanted);
    let mut gate = project.gate("gate");
    project.configure(&format!(
        r#"
        [stack]
        name = "shop"
        [services.api]
        command = ["{{misbehave}}", "listen", "--http"]
        port = {wanted}
        ready = {{ http = "/health" }}
        [services.fixed]
        command = ["{{misbehave}}", "listen", "--after-gate", "gate"]
        ports = {{ http = 3000, metrics = {metrics} }}
        [services.web]
        command = ["{{misbehave}}", "run"]
        depends_on = ["fixed"]
        [services.task]
        kind = "task"
        command = ["{{misbehave}}", "exit", "0"]
        [services.bad]
        command = ["{{misbehave}}", "die", "ABRT"]
        restart = {{ delay = "1ms", max = 3 }}
        [services.spare]
        command = ["{{misbehave}}", "run"]
        autostart = false
        "#
    ));
    let up = project.devstack(["up", "--port", &format!("fixed={pinned}")]).start();
    let ready = |ps: &Value, name: &str| service(ps, name)["phase"] == "ready";
    let ps = project.wait_ps(|ps| {
        ready(ps, "api")
            && service(ps, "bad")["phase"] == "failed"
            && service(ps, "fixed")["phase"] == "starting"
            && service(ps, "task")["phase"] == "done"
    });
    let head = ["version", "stack", "dir", "mode", "supervisor_pid", "state"].map(|key| &ps[key]);
    let dir = project.dir().display().to_string();
    let expected = json!([1, "shop", dir, "run", up.pid(), "degraded"]);
    assert_eq!(json!(head), expected);
    let names: Vec<&str> = ps["services"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, ["api", "bad", "fixed", "spare", "task", "web"]);

    let api = service(&ps, "api");
    let moved = api["port"].as_u64().expect("a port") as u16;
    assert!(moved > wanted && moved != pinned && moved != metrics, "{moved}");
    let served = http_get(moved, "/").json();
    let since: jiff::Timestamp = api["since"].as_str().expect("a time").parse().expect("a time");
    assert!(since <= jiff::Timestamp::now());
    let took = api["ready_after_ms"].as_u64().expect("a number");
    let run = api["run"].as_u64().expect("a number");
    let expected = json!({
        "name": "api", "kind": "service", "phase": "ready", "since": api["since"],
        "cause": "GET /health returned 200", "pid": served["pid"], "run": run, "restarts": 0,
        "port": moved, "wanted_port": wanted, "pinned": false, "ports": {"main": moved},
        "host": "127.0.0.1", "url": format!("http://127.0.0.1:{moved}"), "exit": null,
        "waiting_on": [], "cpu_percent": api["cpu_percent"], "memory_bytes": api["memory_bytes"],
        "ready_after_ms": took, "message": null,
    });
    // Fields may be added, never renamed.
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(api.get(key), Some(value), "{key} of {api}");
    }
    let fixed = service(&ps, "fixed");
    assert_eq!((&fixed["port"], &fixed["pinned"]), (&json!(pinned), &json!(true)));
    assert_eq!(fixed["ports"], json!({"http": pinned, "metrics": metrics}));
    assert_eq!((&fixed["ready_after_ms"], fixed["pid"].is_u64()), (&Value::Null, true));
    let web = service(&ps, "web");
    assert_eq!(
        (&web["phase"], &web["pid"], &web["run"]),
        (&json!("waiting"), &Value::Null, &Value::Null)
    );
    assert_eq!(web["waiting_on"], json!([{"service": "fixed", "condition": "ready"}]));
    assert_eq!(
        (&web["port"], &web["url"], &web["ports"]),
        (&Value::Null, &Value::Null, &json!({}))
    );
    let task = service(&ps, "task");
    assert_eq!((&task["kind"], &task["exit"]), (&json!("task"), &json!({"code": 0})));
    let bad = service(&ps, "bad");
    assert_eq!((&bad["exit"], &bad["restarts"]), (&json!({"signal": "ABRT"}), &json!(2)));
    assert_eq!(bad["message"]["class"], "crash-loop");
    assert_eq!(bad["message"]["text"], bad["cause"]);
    assert!(bad["message"]["help"].as_str().expect("a text").contains("devstack restart bad"));
    assert_eq!(bad["pid"], Value::Null);
    let spare = service(&ps, "spare");
    assert_eq!((&spare["phase"], &spare["run"]), (&json!("idle"), &Value::Null));

    let answer = http_socket(&project.socket(), "GET", "/v1/stack", "").expect("an answer");
    assert_eq!((answer.status, standing(answer.json())), (200, standing(ps)));
    gate.open();
    up.wait_for("1 of 5 failed");
    let ps = project.ps();
    assert_eq!(ps["state"], "degraded");
    drop(stranger);
    project.end(&up);
}

#[test]
fn the_table_shows_the_same_to_people() {
    let port = free_port();
    let (project, up) = up(&format!(
        "[services.api]\ncommand = [\"{{misbehave}}\", \"listen\"]\nport = {port}\n\
         [services.task]\nkind = \"task\"\ncommand = \"exit 0\"\n"
    ));
    let table = project.devstack(["ps"]).run().expect_code(0).stdout;
    let rows: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert_eq!(rows[0][..5], ["SERVICE", "PHASE", "AGE", "PID", "PORT"]);
    let pid = service(&project.ps(), "api")["pid"].to_string();
    assert_eq!(
        (&rows[1][..2], rows[1][3], rows[1][4]),
        (&["api", "ready"][..], &*pid, &*port.to_string())
    );
    assert_eq!(rows[2][..2], ["task", "done"]);
    assert!(!table.contains('\x1b'));
    project.end(&up);
}

#[test]
fn orders_are_answered_when_they_are_so() {
    let (project, up) = up(PAIR);
    let marks = project.path("marks");
    MarkerLog::wait_starts(&marks, "api", 1);
    MarkerLog::wait_starts(&marks, "worker", 1);
    let pid = |name| service(&project.ps(), name)["pid"].clone();
    let (api, worker) = (pid("api"), pid("worker"));

    let told = project.devstack(["stop", "api"]).run().expect_code(0);
    assert_eq!(told.stdout, "stopped api\n");
    // Nothing is waited for here: the answer came when it was so.
    assert_eq!(MarkerLog::read(&marks).count("exit", "api"), 1);
    let ps = project.ps();
    assert_eq!(
        (&service(&ps, "api")["phase"], &service(&ps, "api")["pid"]),
        (&json!("idle"), &Value::Null)
    );

    project.devstack(["start", "api"]).run().expect_code(0);
    let again = pid("api");
    assert!(again.is_u64() && again != api, "{again}");
    MarkerLog::wait_starts(&marks, "api", 2);

    project.devstack(["restart", "api"]).run().expect_code(0);
    assert_ne!(pid("api"), again);
    assert_eq!(MarkerLog::read(&marks).count("exit", "api"), 2);
    // Started is started: nothing happens.
    let third = pid("api");
    project.devstack(["start", "api", "worker"]).run().expect_code(0);
    assert_eq!((pid("api"), pid("worker")), (third, worker));

    let told = project.devstack(["down"]).run().expect_code(0);
    assert_eq!(told.stdout, "stopped the stack\n");
    assert_eq!(project.alive(), []);
    assert_eq!(up.wait_code(), 0);
    project.finish();
}

#[test]
fn a_start_that_fails_says_so() {
    let (project, up) = up("[services.good]\ncommand = [\"{misbehave}\", \"run\"]\n\
         [services.bad]\ncommand = [\"no-such-program\"]\nautostart = false\n\
         [services.dependent]\ncommand = [\"{misbehave}\", \"run\"]\nautostart = false\ndepends_on = [\"bad\"]\n");
    for name in ["bad", "dependent"] {
        let ended = project.devstack(["start", name]).run().expect_code(1);
        assert!(ended.stderr.contains("no-such-program"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    let ended = project.devstack(["restart", "--json", "bad"]).run().expect_code(1);
    assert_eq!(ended.error()["class"], "spawn");
    project.end(&up);
}

#[test]
fn an_unknown_service_is_reported_with_a_suggestion() {
    let (project, up) = up(PAIR);
    for command in ["start", "stop", "restart", "logs"] {
        let ended = project.devstack([command, "workre"]).run().expect_code(3);
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.contains("`workre`"), "{}", ended.stderr);
        assert!(ended.stderr.contains("did you mean `worker`?"), "{}", ended.stderr);
        let ended = project.devstack([command, "--json", "workre"]).run().expect_code(3);
        assert_eq!(ended.error()["class"], "usage");
    }
    // Nothing of an order with a mistake is done.
    project.devstack(["stop", "api", "workre"]).run().expect_code(3);
    assert_eq!(service(&project.ps(), "api")["phase"], "ready");
    project.end(&up);
}

#[test]
fn without_a_stack_every_command_says_so() {
    let project = TestProject::with_config(PAIR);
    for args in [
        &["ps"][..],
        &["down"],
        &["start", "api"],
        &["stop", "api"],
        &["restart", "api"],
        &["logs"],
        &["logs", "-f"],
    ] {
        let ended = project.devstack(args).run().expect_code(3);
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(
            ended.stderr.starts_with("error: no stack is running in this directory"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("devstack up"), "{}", ended.stderr);
        let ended = project.devstack(args).args(["--json"]).run().expect_code(3);
        assert_eq!(ended.error()["class"], "not-running", "{args:?}");
    }
    project.finish();
}

#[test]
fn of_twenty_that_start_at_once_exactly_one_runs() {
    let project = TestProject::with_config(PAIR);
    let all: Vec<RunningProgram> = (0..20).map(|_| project.devstack(["up"]).start()).collect();
    let running = eventually("nineteen to end", || {
        let running: Vec<&RunningProgram> = all.iter().filter(|one| one.is_running()).collect();
        (running.len() <= 1).then_some(running)
    });
    let [winner] = running[..] else { panic!("nobody runs") };
    winner.wait_for("shop is up");
    for loser in all.iter().filter(|one| one.pid() != winner.pid()) {
        assert_eq!(loser.wait_code(), 4);
        loser.wait_closed();
        let text = loser.stderr();
        assert!(
            text.contains("a stack is already running in this directory: shop (pid "),
            "{text}"
        );
        assert!(text.contains("devstack down"), "{text}");
        assert!(text.contains(&format!("(pid {})", winner.pid())), "{text}");
    }
    assert_eq!(project.ps()["supervisor_pid"], winner.pid());
    winner.end();
    let markers = MarkerLog::read(&project.path("marks"));
    markers.assert_no_overlap();
    assert!(markers.count("start", "api") <= 1);
    project.finish();
}

#[test]
fn a_killed_one_leaves_a_socket_that_heals() {
    let (project, up) = up(PAIR);
    let path = project.socket();
    up.kill9();
    assert!(path.exists());
    let ended = project.devstack(["ps"]).run().expect_code(3);
    assert!(ended.stderr.contains("no stack is running in this directory"), "{}", ended.stderr);
    let up = project.up();
    assert_eq!(project.socket(), path);
    assert_eq!(project.ps()["supervisor_pid"], up.pid());
    project.sockets_must_go();
    project.end(&up);
}

#[test]
fn a_stack_is_found_from_below_and_through_links_and_by_its_file() {
    let (project, up) = up(PAIR);
    project.write("deep/er/file", "");
    let link = project.outside("home").join("link");
    std::os::unix::fs::symlink(project.dir(), &link).expect("a link");
    let pid = json!(up.pid());
    let from =
        |dir: PathBuf| project.devstack(["ps", "--json"]).dir(dir).run().expect_code(0).json();
    assert_eq!(from(project.path("deep/er"))["supervisor_pid"], pid);
    assert_eq!(from(link.clone())["supervisor_pid"], pid);
    assert_eq!(from(link.join("deep"))["supervisor_pid"], pid);
    let file = project.path("devstack.toml");
    for args in
        [["-f".as_ref(), file.as_path(), "ps".as_ref()], ["ps".as_ref(), "-f".as_ref(), &file]]
    {
        let home = project.outside("home");
        project.devstack(args).dir(&home).run().expect_code(0);
        project.devstack(["ps"]).dir(&home).run().expect_code(3);
    }
    project.devstack(["up"]).dir(&link).run().expect_code(4);
    // A project of its own inside is not the one around it.
    project.write("inner/devstack.toml", PAIR);
    project.devstack(["ps"]).dir("inner").run().expect_code(3);
    project.devstack(["down"]).dir("deep").run().expect_code(0);
    assert_eq!(up.wait_code(), 0);
    project.finish();
}

#[test]
fn any_http_client_can_ask() {
    let (project, up) = up(PAIR);
    let socket = project.socket();
    let ask = |method, path, body| http_socket(&socket, method, path, body).expect("an answer");
    let version = ask("GET", "/v1/version", "");
    assert_eq!(version.json(), json!({"version": env!("CARGO_PKG_VERSION"), "protocol": 1}));
    assert_eq!(version.header("devstack-protocol"), Some("1"));
    let before = service(&project.ps(), "api")["pid"].clone();
    let answer = ask("POST", "/v1/restart", r#"{"services": ["api"]}"#);
    assert_eq!((answer.status, answer.json()), (200, json!({"text": "restarted api"})));
    assert_ne!(service(&project.ps(), "api")["pid"], before);
    for (method, path, body, status) in [
        ("GET", "/v1/nothing", "", 404),
        ("GET", "/", "", 404),
        ("POST", "/v1/stack", "", 405),
        ("GET", "/v1/down", "", 405),
        ("POST", "/v1/stop", r#"{"services": ["nobody"]}"#, 404),
        ("POST", "/v1/stop", "{", 400),
        ("POST", "/v1/stop", "[]", 400),
        ("POST", "/v1/stop", r#"{"services": "api"}"#, 400),
        ("POST", "/v1/stop", r#"{"services": ["../../etc"]}"#, 404),
        ("GET", "/v1/logs?last=many", "", 400),
    ] {
        let answer = ask(method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        assert!(answer.json()["error"]["text"].is_string(), "{answer:?}");
    }
    assert_eq!(ask("POST", "/v1/down", "").status, 200);
    assert_eq!(up.wait_code(), 0);
    project.finish();
}

#[test]
fn only_the_user_gets_at_the_socket() {
    use std::os::unix::fs::PermissionsExt;
    let (project, up) = up(PAIR);
    let path = project.socket();
    let mode =
        |path: &std::path::Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().expect("a directory")), 0o700);
    assert_eq!(mode(&project.path(".devstack")), 0o700);
    project.end(&up);
}

#[test]
fn logs_show_what_was_printed_while_it_runs_and_after() {
    let project = TestProject::with_config(
        r#"
        [services.api]
        command = ["{misbehave}", "--stay", "say", "one", "two", "three"]
        [services.worker]
        command = ["{misbehave}", "--stay", "say", "wrong", "--stderr"]
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("api    | ready");
    up.wait_for("worker | ready");
    let check = || {
        let logs =
            |args: &[&str]| project.devstack(["logs"]).args(args).run().expect_code(0).stdout;
        let all = logs(&[]);
        for line in ["api    | one", "api    | three", "worker | wrong"] {
            assert!(all.lines().any(|shown| shown == line), "{line} in {all}");
        }
        let api = logs(&["api", "--said=no"]);
        assert!(api.starts_with("api | one\napi | two\napi | three\napi | ready "), "{api}");
        let last = logs(&["-n", "2", "api", "--said=no"]);
        assert!(last.starts_with("api | three\napi | ready "), "{last}");
        assert_eq!(logs(&["-n", "0"]), "");
        let json = logs(&["--json", "worker"]);
        // Between the streams of a service there is no order.
        let line = json.lines().find(|line| line.contains("wrong")).expect("the line");
        let first: Value = serde_json::from_str(line).expect("JSON");
        let at: jiff::Timestamp = first["at"].as_str().expect("a time").parse().expect("a time");
        assert!(at <= jiff::Timestamp::now());
        let expected = json!({
            "service": "worker", "run": first["run"], "stream": "stderr", "at": first["at"],
            "seq": first["seq"], "line": "wrong",
        });
        assert!(first["run"].is_u64() && first["seq"].is_u64(), "{first}");
        assert_eq!(first, expected);
        project.devstack(["logs", "nobody"]).run().expect_code(3);
    };
    check();
    up.end();
    check();
    project.devstack(["logs", "-f", "-n", "1", "worker"]).run().expect_code(0);
    project.finish();
}

#[test]
fn logs_are_followed_across_a_restart_until_the_end() {
    let (project, up) = up(PAIR);
    MarkerLog::wait_starts(&project.path("marks"), "api", 1);
    let follow = project.devstack(["logs", "-f", "api", "--said=no"]).start();
    let (json, all) = (
        project.devstack(["logs", "-f", "--json"]).start(),
        project.devstack(["logs", "-f"]).start(),
    );
    follow.wait_for("api | ready");
    all.wait_for("api    | ready");
    project.devstack(["restart", "api"]).run().expect_code(0);
    follow.wait_count(2, "api | ready");
    up.end();
    for one in [&follow, &json, &all] {
        assert_eq!(one.wait_code(), 0);
        one.wait_closed();
    }
    let lines: Vec<String> = follow
        .lines()
        .iter()
        .map(|line| line.split(" ready ").next().unwrap_or("").to_owned())
        .collect();
    assert_eq!(lines, ["api |", "api | stopping", "api |", "api | stopping"]);
    let runs: BTreeSet<u64> = json
        .lines()
        .iter()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("JSON")["run"].as_u64().expect("a run")
        })
        .collect();
    assert_eq!(runs.len(), 3, "{runs:?}");
    assert_eq!(json.lines().len(), 6);
    project.finish();
}

#[test]
fn a_reader_of_logs_that_leaves_does_no_harm() {
    let (project, up) = up("[services.flood]\ncommand = \"while :; do echo line; done\"\n\
         [services.api]\ncommand = [\"{misbehave}\", \"run\"]\n");
    let script = "\"$0\" logs -f | head -3";
    for _ in 0..3 {
        let shell = project.program("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
        let ended = shell.run().expect_code(0);
        assert_eq!((ended.stdout.lines().count(), ended.stderr.as_str()), (3, ""));
    }
    let pid = service(&project.ps(), "api")["pid"].clone();
    assert!(pid.is_u64());
    project.end(&up);
}
