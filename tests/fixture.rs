//! misbehave does what its options say. Every other test builds on that.

use std::fs;
use std::os::unix::net::UnixDatagram;

use crate::support::content::{Flavour, Sum, line};
use crate::support::{
    MarkerEvent, MarkerLog, Signal, Source, TestProject, free_port, http_get, occupy, try_http_get,
};

#[test]
fn exits_with_the_code_it_is_given() {
    let project = TestProject::new();
    for code in [0, 1, 7, 255] {
        project.misbehave(["exit", &code.to_string()]).run().expect_code(code);
    }
    project.misbehave(["crash-after", "1", "--code", "9"]).run().expect_code(9);
    project.finish();
}

#[test]
fn dies_by_the_signal_it_is_given() {
    let project = TestProject::new();
    for (name, number) in [("TERM", 15), ("SIGKILL", 9), ("10", 10)] {
        project.misbehave(["die", name]).run().expect_code(128 + number);
    }
    project.finish();
}

#[test]
fn a_mistake_on_the_command_line_is_exit_2() {
    let project = TestProject::new();
    let mistakes: [&[&str]; 6] =
        [&[], &["nope"], &["exit"], &["exit", "x"], &["tree", "--nope"], &["--nope", "run"]];
    for args in mistakes {
        let ended = project.misbehave(args).run().expect_code(2);
        assert!(ended.stderr.starts_with("misbehave: "), "{args:?}: {}", ended.stderr);
    }
    project.finish();
}

#[test]
fn ignores_signals_until_killed() {
    let project = TestProject::new();
    let running = project.misbehave(["ignore", "TERM", "INT", "HUP"]).start();
    running.wait_for("ready");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        assert!(running.signal(signal));
    }
    let mask = project.misbehave(["--ignore", "TERM,PIPE", "sigmask"]).run();
    assert_eq!(mask.stdout, "blocked\nignored PIPE TERM\ncaught\n");
    assert!(running.is_running());
    running.kill9();
    assert_eq!(running.wait_code(), 137);
    project.finish();
}

#[test]
fn tells_each_signal() {
    let project = TestProject::new();
    let running = project.misbehave(["signals", "TERM", "HUP"]).start();
    running.wait_for("ready");
    for count in 1..=3 {
        running.signal(Signal::TERM);
        running.wait_count(count, "got TERM");
    }
    running.signal(Signal::HUP);
    running.wait_for("got HUP");
    running.kill9();
    project.finish();
}

#[test]
fn ends_by_itself_at_its_deadline_even_when_stopped() {
    let project = TestProject::new();
    let stopped = project.misbehave(["--deadline", "1", "stop-self"]).start();
    let tree = project
        .misbehave(["--deadline", "1", "--ignore", "TERM", "tree", "double", "--clear-env"])
        .start();
    assert_eq!((stopped.wait_code(), tree.wait_code()), (137, 137));
    tree.wait_closed();
    project.finish();
}

#[test]
fn stops_itself_and_goes_on_when_continued() {
    let project = TestProject::new();
    let running = project.misbehave(["stop-self"]).start();
    running.wait_for("stopping");
    // Whether it is stopped yet or about to be, the signal is sent until it took effect.
    crate::support::eventually("it to go on", || {
        running.signal(Signal::CONT);
        running.lines().iter().any(|line| line == "continued").then_some(())
    });
    running.signal(Signal::TERM);
    assert_eq!(running.wait_code(), 143);
    project.finish();
}

#[test]
fn starts_children_in_every_kind_of_hiding() {
    let project = TestProject::new();
    let tree = project.misbehave(["tree", "plain", "setsid", "double"]).start();
    tree.wait_for("ready");
    let pids = ["plain", "setsid", "double"].map(|kind| tree.wait_pid(&format!("child {kind}")));
    let alive: Vec<u32> = project.alive().iter().map(|process| process.pid).collect();
    for pid in pids.into_iter().chain([tree.pid()]) {
        assert!(alive.contains(&pid), "{pid} is not in {alive:?}");
    }
    assert_eq!(alive.len(), 4, "the one in the middle is gone");
    tree.kill9();
    let failure = std::panic::catch_unwind(|| project.assert_nothing_alive());
    let text =
        *failure.expect_err("three children are left").downcast::<String>().expect("a message");
    assert!(pids.iter().all(|pid| text.contains(&pid.to_string())), "{text}");
    project.finish();
}

#[test]
fn leaves_an_orphan_that_holds_nothing_open() {
    let project = TestProject::new();
    let ended = project.misbehave(["orphan", "double", "--code", "3"]).run().expect_code(3);
    assert!(ended.stdout.starts_with("child double "), "{}", ended.stdout);
    assert_eq!(project.alive().len(), 1);
    project.kill_all();
    project.finish();
}

#[test]
fn leaves_a_grandchild_that_holds_its_output() {
    let project = TestProject::new();
    let running = project.misbehave(["hold-pipe"]).start();
    assert_eq!(running.wait_code(), 0);
    let [holder] = &project.alive()[..] else { panic!("one process holds the pipe") };
    assert_eq!(holder.pid, running.wait_pid("child double"));
    project.kill_all();
    running.wait_closed();
    project.finish();
}

#[test]
fn forks_on_while_it_dies() {
    let project = TestProject::new();
    let running = project.misbehave(["fork-chain", "20", "--on-term"]).start();
    running.wait_for("ready");
    running.signal(Signal::TERM);
    let last = running.wait_pid("link 20");
    assert_eq!(running.wait_code(), 0);
    let alive = running.wait_count(2, "ready");
    assert_eq!(alive, format!("ready {last}"));
    project.kill_all();
    project.finish();
}

#[test]
fn every_byte_of_a_flood_is_known() {
    let project = TestProject::new();
    let cases: [(&[&str], Flavour, &str); 4] = [
        (&[], Flavour::Text, "\n"),
        (&["--no-newline"], Flavour::Text, ""),
        (&["--binary"], Flavour::Binary, "\n"),
        (&["--escapes"], Flavour::Escapes, "\n"),
    ];
    for (options, flavour, end) in cases {
        let flood = project
            .misbehave(["flood", "--lines", "3000", "--len", "100", "--both", "--sum", "sum"]);
        let flood = flood.args(options).start();
        flood.wait_closed();
        let mut sums = [Sum::EMPTY; 2];
        let mut expected = [Vec::new(), Vec::new()];
        for index in 0..3000_usize {
            let text = [line(index as u64, 100, flavour), end.into()].concat();
            sums[index % 2].add(&text);
            expected[index % 2].extend(text);
        }
        assert_eq!(flood.wait_code(), 0);
        assert!(flood.bytes(Source::Stdout) == expected[0], "{options:?}");
        assert!(flood.bytes(Source::Stderr) == expected[1], "{options:?}");
        assert_eq!(project.read("sum"), format!("stdout {}\nstderr {}\n", sums[0], sums[1]));
    }
    project.finish();
}

#[test]
fn floods_look_as_they_are_named() {
    assert_eq!(line(7, 12, Flavour::Text), b"00000007 hij");
    assert_eq!(line(7, 4, Flavour::Text), b"0000");
    let binary = line(1, 600, Flavour::Binary);
    let missing: Vec<u8> = (0..=255).filter(|byte| !binary.contains(byte)).collect();
    assert_eq!(missing, b"\n");
    assert!(std::str::from_utf8(&binary).is_err());
    assert!(line(3, 9, Flavour::Escapes).starts_with(b"00000003 \x1b]52;"));
}

#[test]
fn answers_http_with_its_pid() {
    let project = TestProject::new();
    let port = free_port();
    let server = project
        .misbehave(["listen", "--http", "--text", "hello"])
        .env("PORT", port.to_string())
        .start();
    server.wait_for("ready");
    let reply = http_get(port, "/health");
    let json = reply.json();
    assert_eq!(reply.status, 200);
    assert_eq!((&json["pid"], &json["path"]), (&server.pid().into(), &"/health".into()));
    assert_eq!((&json["port"], &json["text"]), (&port.into(), &"hello".into()));
    server.kill9();
    project.finish();
}

#[test]
fn answers_with_the_given_status_at_the_given_time() {
    let project = TestProject::new();
    let port = free_port();
    let args =
        ["listen", "--http", "--status", "404", "--ok-when", "go", "--port", &port.to_string()];
    let server = project.misbehave(args).start();
    server.wait_for("ready");
    assert_eq!(http_get(port, "/").status, 503);
    project.write("go", "");
    assert_eq!(http_get(port, "/").status, 404);
    server.kill9();
    project.finish();
}

#[test]
fn listens_late_elsewhere_and_on_other_addresses() {
    let project = TestProject::new();
    let (told, real) = (free_port(), free_port());
    let mut gate = project.gate("gate");
    let server = project.misbehave(["listen", "--elsewhere", &real.to_string(), "--host", "::1"]);
    let server =
        server.args(["--http", "--after-gate", "gate"]).env("PORT", told.to_string()).start();
    server.wait_for("waiting gate");
    assert!(try_http_get("::1", real, "/").is_err());
    gate.open();
    server.wait_for(&format!("listening ::1:{real}"));
    assert_eq!(try_http_get("::1", real, "/").expect("it listens").status, 200);
    assert!(
        try_http_get("127.0.0.1", real, "/").is_err() && try_http_get("::1", told, "/").is_err()
    );
    server.kill9();
    project.finish();
}

#[test]
fn a_port_that_is_taken_is_exit_98() {
    let project = TestProject::new();
    let stranger = occupy(free_port());
    let ended =
        project.misbehave(["listen", "--port", &stranger.port().to_string()]).run().expect_code(98);
    assert!(ended.stderr.contains("cannot listen on 127.0.0.1"), "{}", ended.stderr);
    project.finish();
}

#[test]
fn a_raw_answer_is_passed_on_as_it_is() {
    let project = TestProject::new();
    let port = free_port().to_string();
    project.write("answer", "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\n\r\n");
    let server = project.misbehave(["listen", "--raw", "answer", "--port", &port]).start();
    server.wait_for("ready");
    let reply = http_get(port.parse().expect("a number"), "/");
    assert_eq!((reply.status, reply.header("location")), (302, Some("http://elsewhere.example/")));
    server.kill9();
    project.finish();
}

#[test]
fn a_listener_can_end_by_itself_or_slowly() {
    let project = TestProject::new();
    let port = free_port().to_string();
    let crashing =
        project.misbehave(["listen", "--port", &port, "--then-exit", "1"]).run().expect_code(1);
    assert!(crashing.stdout.starts_with(&format!("listening 127.0.0.1:{port}\nready ")));
    let slow = project.misbehave(["listen", "--mute", "--port", &port, "--stop-ms", "1"]).start();
    slow.wait_for("ready");
    slow.signal(Signal::TERM);
    slow.wait_for("stopping");
    assert_eq!(slow.wait_code(), 0);
    project.finish();
}

#[test]
fn markers_tell_whether_copies_overlap() {
    let project = TestProject::new();
    let file = project.path("marks");
    let first =
        project.misbehave(["marker", "marks", "--stop-ms", "1", "--instance", "web"]).start();
    first.wait_for("ready");
    first.signal(Signal::TERM);
    assert_eq!(first.wait_code(), 0);
    let second = project.misbehave(["marker", "marks"]).env("DEVSTACK_SERVICE", "web").start();
    second.wait_for("ready");
    let good = MarkerLog::wait_starts(&file, "web", 2);
    assert_eq!((good.count("start", "web"), good.count("exit", "web")), (2, 1));
    let first_mark: &MarkerEvent = good.of("web").next().expect("a start");
    assert_eq!((first_mark.what.as_str(), first_mark.pid), ("start", first.pid()));
    good.assert_no_overlap();
    let third = project.misbehave(["marker", "marks", "--instance", "web"]).start();
    third.wait_for("ready");
    let bad = std::panic::catch_unwind(|| MarkerLog::read(&file).assert_no_overlap());
    assert!(bad.is_err(), "the second was alive");
    second.kill9();
    third.kill9();
    project.finish();
}

#[test]
fn is_slow_to_stop() {
    let project = TestProject::new();
    let running = project.misbehave(["slow-stop", "1"]).start();
    running.wait_for("ready");
    running.signal(Signal::TERM);
    running.wait_for("stopped");
    assert_eq!(running.wait_code(), 0);
    project.finish();
}

#[test]
fn speaks_in_pieces_when_gates_open() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let args = ["--stay", "say", "half a ", "--after-gate", "gate", "line\n", "--no-newline"];
    let running = project.misbehave(args).start();
    running.wait_for("half a ");
    assert!(!running.stdout().contains("line"));
    gate.open();
    running.wait_line(|line| line.ends_with(" line"));
    running.wait_for("ready");
    project.misbehave(["gate", "gate"]).run().expect_code(0);
    running.kill9();
    project.finish();
}

#[test]
fn shows_what_it_was_given() {
    let project = TestProject::new();
    let env = project.misbehave(["print-env", "ODD"]).env("ODD", "a\nb\\c").run();
    assert_eq!(env.stdout, "ODD=a\\nb\\\\c\n");
    let fds = project.misbehave(["fdlist"]).run();
    let fds: Vec<_> =
        fds.stdout.lines().map(|line| line.rsplit_once(' ').expect("fd N TARGET").0).collect();
    assert_eq!(fds, ["fd 0", "fd 1", "fd 2"]);
    let limits = project.misbehave(["limits"]).run().stdout;
    assert!(limits.contains(&format!("cwd {}\n", project.dir().display())), "{limits}");
    assert!(
        limits.contains("tty0 no\ntty1 no\ntty2 no\n") && !limits.contains("window"),
        "{limits}"
    );
    project.finish();
}

#[test]
fn leads_a_session_on_request() {
    let project = TestProject::new();
    // The group of its own that every program of a project leads, `tree` keeps; its child leaves it.
    let tree = project.misbehave(["--stay", "--setsid", "limits"]).start();
    tree.wait_for("ready");
    let lines = tree.lines();
    assert!(lines.contains(&format!("pgid {}", tree.pid())), "{lines:?}");
    tree.kill9();
    project.finish();
}

#[test]
fn notifies_the_socket_of_its_environment() {
    let project = TestProject::new();
    let path = project.path("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("the project is ours");
    socket.set_read_timeout(Some(crate::support::wait_limit())).expect("a limit");
    let running = project.misbehave(["notify"]).env("NOTIFY_SOCKET", &path).start();
    let mut buffer = [0; 100];
    let count = socket.recv(&mut buffer).expect("a message");
    assert_eq!(&buffer[..count], b"READY=1");
    running.wait_for("notified READY=1");
    running.kill9();
    fs::remove_file(path).expect("it is there");
    project.finish();
}

#[test]
fn touches_files_and_echoes_lines() {
    let project = TestProject::new();
    let toucher = project.misbehave(["touch", "a", "b"]).start();
    toucher.wait_for("ready");
    assert!(
        project.read("a").starts_with(&toucher.pid().to_string()) && !project.read("b").is_empty()
    );
    toucher.kill9();
    let echo = project.misbehave(["echo"]).stdin().start();
    echo.write(b"hello\n");
    echo.wait_for("got hello");
    echo.close_stdin();
    echo.wait_for("end of input");
    assert_eq!(echo.wait_code(), 0);
    project.finish();
}
