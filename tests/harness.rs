//! The support of the tests finds what it is there to find.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::{
    CTRL_C, CTRL_D, CTRL_Z, HttpReply, OrphanProcess, OutputPosition, PortOccupier, Signal, Source,
    TestProject, TtySettings, eventually, free_port, free_ports, http_socket, occupy, occupy_on,
    require, require_program, service, strip_ansi, try_http_get, user_namespaces,
};

/// The message of a failing part of a test.
fn failure(piece: impl FnOnce()) -> String {
    let caught = catch_unwind(AssertUnwindSafe(piece)).expect_err("it should have failed");
    *caught.downcast::<String>().expect("a message")
}

#[test]
fn a_survivor_fails_the_test_and_is_killed() {
    let project = TestProject::new();
    project.misbehave(["orphan", "double"]).run().expect_code(0);
    let alive: Vec<OrphanProcess> = project.alive();
    let [survivor] = &alive[..] else { panic!("one survives") };
    let text = failure(|| project.assert_nothing_alive());
    assert!(text.contains(&survivor.pid.to_string()) && text.contains("misbehave"), "{text}");
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn a_survivor_without_environment_is_found_by_its_directory() {
    if !require("/proc", cfg!(target_os = "linux")) {
        return;
    }
    let project = TestProject::new();
    let tree = project.misbehave(["tree", "double", "--clear-env", "--ignore-term"]).start();
    let child = tree.wait_pid("child double");
    tree.kill9();
    assert!(failure(|| project.assert_nothing_alive()).contains(&child.to_string()));
    project.finish();
}

#[test]
fn projects_do_not_see_each_other() {
    let (one, other) = (TestProject::new(), TestProject::new());
    let running = one.misbehave(["run"]).start();
    running.wait_for("ready");
    assert_eq!(one.alive().len(), 1);
    other.finish();
    assert!(running.is_running());
    drop(running);
    one.finish();
}

#[test]
fn a_socket_file_fails_the_test_unless_its_owner_was_killed() {
    let project = TestProject::new();
    let _socket = UnixListener::bind(project.outside("run").join("left.sock"))
        .expect("the directory is ours");
    assert!(failure(|| project.finish()).contains("left.sock"));

    let project = TestProject::new();
    let _socket = UnixListener::bind(project.outside("run").join("left.sock"))
        .expect("the directory is ours");
    let running = project.misbehave(["run"]).start();
    running.kill9();
    project.sockets_must_go();
    assert!(failure(|| project.finish()).contains("left.sock"));

    let project = TestProject::new();
    let _socket = UnixListener::bind(project.outside("run").join("left.sock"))
        .expect("the directory is ours");
    project.misbehave(["run"]).start().kill9();
    project.finish();
}

#[test]
fn a_dropped_project_checks_too() {
    let project = TestProject::new();
    project.misbehave(["orphan"]).run().expect_code(0);
    assert!(failure(|| drop(project)).contains("left behind"));
}

#[test]
fn a_zombie_is_found() {
    let project = TestProject::new();
    let tree = project.misbehave(["tree", "plain"]).start();
    let child = tree.wait_pid("child plain");
    project.assert_no_zombie();
    project.program("/bin/sh").args(["-c", &format!("kill -9 {child}")]).run().expect_code(0);
    let zombies =
        eventually("a zombie", || Some(project.zombies()).filter(|zombies| !zombies.is_empty()));
    assert_eq!(zombies, [child]);
    assert!(failure(|| project.assert_no_zombie()).contains(&child.to_string()));
    drop(tree);
    project.finish();
}

#[test]
fn the_environment_is_the_projects_own() {
    let project = TestProject::new();
    let env = project
        .misbehave(["print-env"])
        .env("ODD", "1")
        .unset("TERM")
        .keep("NOT_SET_ANYWHERE")
        .run();
    let names: Vec<_> =
        env.stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let expected = "DEVSTACK_PROXY DEVSTACK_TEST_TOKEN HOME LANG ODD PATH TMPDIR XDG_CACHE_HOME XDG_CONFIG_HOME XDG_RUNTIME_DIR XDG_STATE_HOME";
    assert_eq!(names.join(" "), expected);
    assert!(env.stdout.contains(&format!("HOME={}\n", project.outside("home").display())));
    project.finish();
}

#[test]
fn waiting_fails_at_once_and_with_all_output_when_nothing_can_come() {
    let project = TestProject::new();
    let running = project.misbehave(["say", "one", "two"]).start();
    assert_eq!(running.wait_for("one"), "one");
    let text = failure(|| drop(running.wait_for("three")));
    assert!(text.contains("waited for \"three\" of `misbehave say one two`"), "{text}");
    assert!(text.contains("it ended: exit status: 0\n--- stdout so far\none\ntwo\n"), "{text}");
    project.finish();
}

#[test]
fn lines_are_found_by_place_and_by_count() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let args = ["say", "ready 1", "--after-gate", "gate", "ready 2", "ready 3"];
    let running = project.misbehave(args).start();
    // What is read of stdout may lag behind what is read of stderr.
    running.wait_for("waiting gate");
    running.wait_for("ready 1");
    let place: OutputPosition = running.here();
    gate.open();
    assert_eq!(running.wait_since(place, "ready"), "ready 2");
    assert_eq!(running.wait_count(3, "ready"), "ready 3");
    running.wait_closed();
    assert_eq!(running.lines_since(place), ["ready 2", "ready 3"]);
    assert_eq!(running.wait_code(), 0);
    gate.shut();
    let late = project.misbehave(["gate", "gate"]).start();
    late.wait_for("waiting gate");
    assert!(late.is_running());
    gate.open();
    assert_eq!(late.wait_code(), 0);
    assert!(gate.path().starts_with(project.dir()));
    project.finish();
}

#[test]
fn stdout_and_stderr_are_kept_apart() {
    let project = TestProject::new();
    let ended = project.misbehave(["say", "wrong", "--stderr"]).run();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", "wrong\n"));
    project.finish();
}

#[test]
fn a_closed_output_breaks_the_pipe_of_the_writer() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let running = project.misbehave(["gate", "gate"]).start();
    running.wait_for("waiting");
    running.close_output(Source::Stdout);
    gate.open();
    assert_eq!(running.wait_code(), 128 + 13);
    project.finish();
}

#[test]
fn a_terminal_passes_keys_size_and_signals() {
    let project = TestProject::new();
    let running = project.misbehave(["--stay", "limits"]).terminal(30, 100).start();
    running.wait_for("ready");
    let lines = running.lines();
    for line in
        ["tty0 yes", "tty1 yes", "tty2 yes", "window 30 100", &format!("sid {}", running.pid())]
    {
        assert!(lines.contains(&line.to_owned()), "{line} is not in {lines:?}");
    }
    assert_eq!(running.foreground(), running.pid());
    running.resize(10, 20);
    running.write(CTRL_C);
    assert_eq!(running.wait_code(), 130);
    project.finish();
}

#[test]
fn a_terminal_ends_input_and_shows_what_is_typed() {
    let project = TestProject::new();
    let running = project.misbehave(["echo"]).terminal(24, 80).start();
    running.wait_for("ready");
    running.write(b"hi\n");
    running.wait_for("got hi");
    running.write(CTRL_D);
    running.wait_for("end of input");
    running.wait_closed();
    project.finish();
}

#[test]
fn a_terminal_tells_its_new_size_and_the_stop_key() {
    let project = TestProject::new();
    let running = project.misbehave(["signals", "WINCH", "TSTP"]).terminal(24, 80).start();
    running.wait_for("ready");
    running.resize(11, 22);
    running.wait_for("got WINCH 11 22");
    running.write(CTRL_Z);
    running.wait_for("got TSTP");
    running.kill9();
    project.finish();
}

#[test]
fn a_closed_window_hangs_up() {
    let project = TestProject::new();
    let running = project.misbehave(["run"]).terminal(24, 80).start();
    running.wait_for("ready");
    running.hang_up();
    assert_eq!(running.wait_code(), 129);
    project.finish();
}

#[test]
fn changed_terminal_settings_are_seen() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let shell = project
        .program("/bin/sh")
        .args(["-c", "stty raw; echo set; : < gate; stty sane; echo back"]);
    let running = shell.terminal(24, 80).start();
    running.wait_for("set");
    let raw: TtySettings = running.settings();
    assert_eq!(raw, running.settings());
    gate.open();
    running.wait_for("back");
    assert_ne!(raw, running.settings());
    assert_eq!(running.wait_code(), 0);
    // Also readable when no process is left in the terminal.
    assert_ne!(raw, running.settings());
    project.finish();
}

#[test]
fn the_foreground_of_a_terminal_can_be_grabbed() {
    let project = TestProject::new();
    // An interactive shell would take it back; this one leaves its child in its own group until the child acts.
    let shell = project
        .program("/bin/sh")
        .args(["-c", "$0 grab-foreground & wait"])
        .args([crate::support::misbehave()]);
    let running = shell.terminal(24, 80).start();
    running.wait_for("foreground taken");
    let pid = running.wait_pid("ready");
    assert_eq!(running.foreground(), pid);
    // The end of a session's leader hangs up on the foreground.
    running.kill9();
    project.finish();
}

#[test]
fn a_program_that_is_dropped_is_killed() {
    let project = TestProject::new();
    drop(project.misbehave(["ignore", "TERM"]).start());
    project.finish();
}

#[test]
fn devstack_itself_is_found() {
    let project = TestProject::new();
    let running = project.devstack(["--version"]).start();
    running.wait_exit();
    project.finish();
}

#[test]
fn misbehave_is_named_in_files_by_its_path() {
    let project = TestProject::new();
    let file = project.write("deep/devstack.toml", "command = [\"{misbehave}\", \"run\"]");
    let text = project.read("deep/devstack.toml");
    assert_eq!(text, format!("command = [{:?}, \"run\"]", crate::support::misbehave()));
    assert_eq!(file, project.path("deep").join("devstack.toml"));
    let ended = project.program("/bin/pwd").dir("deep").run();
    assert_eq!(ended.stdout.trim_end(), project.path("deep").display().to_string());
    project.finish();
}

#[test]
fn ports_are_free_distinct_and_holdable() {
    let first = free_ports(3);
    let other = free_port();
    assert!(!(first..first + 3).contains(&other));
    for address in ["127.0.0.1", "0.0.0.0"] {
        let stranger: PortOccupier = occupy_on(address, first);
        assert_eq!(stranger.port(), first);
        failure(|| drop(occupy_on(address, first)));
    }
    drop(occupy(first));
    assert!(try_http_get("127.0.0.1", other, "/").is_err());
}

#[test]
fn ps_is_read_from_any_program_that_speaks_it() {
    let project = TestProject::new();
    let script = "#!/bin/sh\n[ \"$*\" = \"ps --json\" ] || exit 2\ncat answer 2>&1 || exit 3\n";
    let fake = project.write("fake", script);
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let project = project.with_devstack(fake);
    assert!(failure(|| drop(project.ps())).contains("left: 3"));
    project.write("answer", r#"{"services": [{"name": "api", "phase": "ready"}]}"#);
    let ps = project.wait_ps(|ps| service(ps, "api")["phase"] == "ready");
    assert_eq!(ps, project.ps());
    assert!(failure(|| drop(service(&ps, "web").clone())).contains("no service web"));
    project.write("answer", "no JSON");
    assert!(failure(|| drop(project.ps())).contains("no JSON"));
    project.finish();
}

#[test]
fn answers_over_unix_sockets_are_read() {
    let project = TestProject::new();
    let path = project.path("s");
    let listener = UnixListener::bind(&path).expect("the project is ours");
    let server = std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Write};
        let (mut stream, _) = listener.accept().expect("a client");
        let lines: Vec<_> = BufReader::new(&stream)
            .lines()
            .map_while(Result::ok)
            .take_while(|l| !l.is_empty())
            .collect();
        let chunks = "5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n";
        write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
            .expect("a client");
        lines[0].clone()
    });
    let reply: HttpReply = http_socket(&path, "POST", "/v1/stop", "").expect("an answer");
    assert_eq!((reply.status, reply.json()), (200, serde_json::json!({"a": 1})));
    assert_eq!(server.join().expect("it answered"), "POST /v1/stop HTTP/1.1");
    std::fs::remove_file(path).expect("it is there");
    project.finish();
}

#[test]
fn escape_sequences_are_no_text() {
    let text = b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07and \x1b]8;;u\x1b\\plain\x1b(\r";
    assert_eq!(strip_ansi(text), "red and plain");
    assert_eq!(strip_ansi(b"cut \x1b["), "cut ");
    assert_eq!(strip_ansi(b"cut \x1b"), "cut ");
}

#[test]
fn what_is_needed_is_found_or_skipped() {
    assert!(require_program("sh").is_some_and(|path| path.ends_with("sh")));
    if std::env::var_os("DEVSTACK_REQUIRE_ALL").is_some_and(|value| value == "1") {
        assert!(
            failure(|| drop(require_program("no-such-program")))
                .contains("no-such-program is missing")
        );
    } else {
        assert!(require_program("no-such-program").is_none());
    }
    require("user namespaces", user_namespaces());
}

#[test]
fn a_signal_to_an_ended_program_goes_nowhere() {
    let project = TestProject::new();
    let running = project.misbehave(["exit", "0"]).start();
    running.wait_exit();
    assert!(!running.signal(Signal::TERM));
    running.interrupt();
    project.finish();
}
