//! Every stack of this user: `ps --all` and `down --all`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{RunningProgram, Signal, TestCommand, TestProject, eventually, wait_limit};

/// One that stays, one that is done, one that failed.
const THREE: &str = r#"
    [services.api]
    command = ["{misbehave}", "run"]
    [services.seed]
    kind = "task"
    command = ["{misbehave}", "exit", "0"]
    [services.bad]
    command = ["{misbehave}", "exit", "3"]
    restart = "no"
    "#;

const ONE: &str = "[services.api]\ncommand = [\"{misbehave}\", \"run\"]\n";

/// Where the locks of the project are.
fn runtime(project: &TestProject) -> PathBuf {
    project.outside("run").join("devstack")
}

/// A command about every stack of this project; those of the user of the tests are none of
/// their business.
fn all(project: &TestProject, args: &[&str]) -> TestCommand {
    project.devstack(args).args(["--all"]).env("DEVSTACK_RUNTIME_DIR", runtime(project))
}

/// A stack in a directory of its own. Everything is settled, and `api` has printed that it runs: before
/// that, its directory must not disappear, and its process may still look like devstack.
fn start(project: &TestProject, dir: &Path, config: &str) -> RunningProgram {
    project.write(dir.join("devstack.toml"), config);
    let up = project.devstack(["up"]).dir(dir).start();
    if !config.contains("until test -e go") {
        up.wait_for("| ready");
    }
    match config == THREE {
        // `bad` may fail before or after the summary.
        true => ["* completed", "* failed: exited with code 3"].map(|line| up.wait_for(line)),
        false => ["is up"; 2].map(|line| up.wait_for(line)),
    };
    up
}

/// What `--all --json` printed, by the name of the stack.
fn by_name(answer: &Value, name: &str) -> Value {
    assert_eq!(answer["version"], 1);
    let stacks = answer["stacks"].as_array().expect("a list");
    let found = stacks.iter().find(|stack| stack["stack"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {answer}")).clone()
}

/// Deletes a directory that may still be written to.
fn delete(dir: &Path) {
    eventually("the directory to be deleted", || {
        let _ = fs::remove_dir_all(dir);
        (!dir.exists()).then_some(())
    });
}

#[test]
fn nothing_runs() {
    let project = TestProject::new();
    for command in ["ps", "down"] {
        let ended = all(&project, &[command]).run().expect_code(0);
        assert_eq!((&*ended.stdout, &*ended.stderr), ("", "no stacks are running for this user\n"));
        let ended = all(&project, &[command, "--json"]).run().expect_code(0);
        assert_eq!((ended.json(), &*ended.stderr), (json!({"version": 1, "stacks": []}), ""));
    }
    assert!(!runtime(&project).exists(), "looking makes no directories");
    project.finish();
}

#[test]
fn all_and_one_is_a_mistake() {
    let project = TestProject::with_config(ONE);
    for command in ["ps", "down"] {
        for args in [&["-f", "devstack.toml", command, "--all"][..], &[command, "-f", "x", "--all"]]
        {
            let ended = project.devstack(args).run().expect_code(2);
            assert!(
                ended.stderr.starts_with("error: `--all` covers every stack, but `-f` selects one"),
                "{ended:?}"
            );
            let ended = project.devstack(args).args(["--json"]).run().expect_code(2);
            assert_eq!(ended.error()["class"], "usage");
        }
    }
    project.finish();
}

#[test]
fn every_stack_is_shown_and_stopped_wherever_its_directory_is() {
    let project = TestProject::new();
    let home = project.outside("home");
    let dirs = ["there", "before", "deleted"].map(|name| home.join(name));
    let [there, moved, deleted] = dirs.each_ref().map(|dir| start(&project, dir, THREE));
    fs::rename(&dirs[1], home.join("after")).expect("it can be moved");
    delete(&dirs[2]);

    // Only Linux can tell what became of a directory.
    let linux = cfg!(target_os = "linux");
    if linux {
        // A request wakes it; then it says where it is.
        all(&project, &["ps"]).run().expect_code(0);
        moved.wait_for("the project directory is now");
    }
    let answer = all(&project, &["ps", "--json"]).run().expect_code(0).json();
    let entry = |name: &str| by_name(&answer, name);
    let (after, gone) = if linux { ("after", "deleted") } else { ("before", "gone") };
    for (name, up, state, dir) in [
        ("there", &there, "there", "there"),
        ("before", &moved, if linux { "there" } else { "gone" }, after),
        ("deleted", &deleted, gone, "deleted"),
    ] {
        let entry = entry(name);
        assert_eq!(entry["folder"], state, "{entry}");
        assert_eq!(entry["dir"], home.join(dir).display().to_string());
        assert_eq!((&entry["pid"], &entry["error"]), (&json!(up.pid()), &Value::Null));
        assert_eq!(entry["devstack"], env!("CARGO_PKG_VERSION"));
        let since: jiff::Timestamp =
            entry["since"].as_str().expect("a time").parse().expect("a time");
        assert!(since <= jiff::Timestamp::now());
        assert_eq!(entry["snapshot"]["supervisor_pid"], up.pid());
        assert_eq!(entry["snapshot"]["services"].as_array().map(Vec::len), Some(3));
    }

    let table = all(&project, &["ps"]).run().expect_code(0).stdout;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(rows[0], ["STACK", "DIRECTORY", "STATE", "SERVICES", "AGE", "PID"], "{table}");
    let row = |name: &str| rows.iter().find(|row| row[0] == name).expect("a row");
    let services = "1 ready, 1 done, 1 failed";
    let pid = there.pid().to_string();
    assert_eq!(row("there")[..4], ["there", "~/there", "degraded", services]);
    assert_eq!((row("there").len(), row("there")[5]), (6, &*pid));
    if linux {
        assert_eq!(row("before")[1], "~/after");
        assert_eq!(row("deleted")[1], "~/deleted (deleted)");
    }

    let ended = all(&project, &["down"]).run().expect_code(0);
    assert_eq!(ended.stderr, "");
    let mut lines: Vec<&str> = ended.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[2], "there in ~/there: stopped the stack");
    assert_eq!(project.alive(), []);
    for up in [there, moved, deleted] {
        assert_eq!(up.wait_code(), 0);
    }
    let answer = all(&project, &["ps", "--json"]).run().expect_code(0).json();
    assert_eq!(answer["stacks"], json!([]));
    project.finish();
}

#[test]
fn a_stack_that_hangs_is_named_and_delays_no_other() {
    let project = TestProject::new();
    let hangs = start(&project, &project.path("hangs"), ONE);
    let works = start(&project, &project.path("works"), ONE);
    hangs.stop();

    let answer = all(&project, &["ps", "--json"]).run().expect_code(0).json();
    let entry = by_name(&answer, "hangs");
    assert_eq!((&entry["pid"], &entry["snapshot"]), (&json!(hangs.pid()), &Value::Null));
    assert_eq!(entry["error"]["class"], "busy");
    let help = entry["error"]["help"].as_str().expect("a text");
    assert!(help.contains(&format!("kill -CONT {}", hangs.pid())), "{help}");
    assert_eq!(by_name(&answer, "works")["snapshot"]["state"], "up");
    let table = all(&project, &["ps"]).run().expect_code(0).stdout;
    assert!(table.contains("not responding") && table.contains("\nhangs: devstack"), "{table}");

    // The one that works is reported as stopped before the other one times out.
    let down = all(&project, &["down"]).start();
    down.wait_for(": stopped the stack");
    assert_eq!(works.wait_code(), 0);
    assert_eq!(down.wait_code(), 1);
    down.wait_closed();
    let text = down.stderr();
    assert!(text.contains("error: hangs in ") && text.contains("did not respond"), "{text}");
    assert!(text.contains(&format!("kill -CONT {}", hangs.pid())), "{text}");
    let answer = all(&project, &["down", "--json"]).run().expect_code(1).json();
    let entry = by_name(&answer, "hangs");
    assert_eq!((&entry["text"], &entry["error"]["class"]), (&Value::Null, &json!("busy")));

    hangs.signal(Signal::CONT);
    let answer = all(&project, &["down", "--json"]).run().expect_code(0).json();
    assert_eq!(by_name(&answer, "hangs")["text"], "stopped the stack");
    assert_eq!(hangs.wait_code(), 0);
    project.finish();
}

#[test]
fn other_versions_are_stopped_too() {
    const LOCK: &str = "0123456789abcdef.lock";
    let project = TestProject::new();
    let works = start(&project, &project.path("works"), ONE);
    let dir = runtime(&project);
    let own = project.dir().display().to_string();
    let said = json!({"pid": std::process::id(), "stack": "future", "dir": own, "since_ms": 0, "devstack": "9.1.0"});
    fs::write(dir.join(LOCK), said.to_string()).expect("the directory is ours");
    let lock = File::open(dir.join(LOCK)).expect("it is there");
    lock.lock().expect("it is free");
    let socket = dir.join(LOCK).with_extension("sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    // Another protocol, in which everything is answered in the same way; asked to go, it goes.
    let future = std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(wait_limit())).expect("a time");
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap_or(0);
            let body = r#"{"text": "gone"}"#;
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ndevstack-protocol: 7\r\ndevstack-version: 9.1.0\r\n\
                 connection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            if head[..count].starts_with(b"POST /v1/down") {
                break;
            }
        }
        drop(listener);
        fs::remove_file(&socket).expect("it is ours");
        lock.unlock().expect("it is ours");
    });
    let answer = all(&project, &["ps", "--json"]).run().expect_code(0).json();
    let text = by_name(&answer, "future")["error"]["text"].to_string();
    assert!(text.contains("9.1.0") && text.contains("protocol 7"), "{text}");
    assert_eq!(by_name(&answer, "works")["error"], Value::Null);
    let answer = all(&project, &["down", "--json"]).run().expect_code(0).json();
    assert_eq!(by_name(&answer, "future")["text"], "gone");
    assert_eq!(works.wait_code(), 0);
    future.join().expect("it went");
    project.finish();
}

#[test]
fn only_the_named_directory_is_searched() {
    let project = TestProject::new();
    let up = start(&project, &project.path("shop"), ONE);
    let other = project.outside("tmp").join("job");
    fs::DirBuilder::new().mode(0o700).create(&other).expect("it is new");
    for (command, code) in [("ps", 3), ("down", 4), ("ps --all", 0), ("down --all", 0)] {
        let ended = project.devstack(command.split(' ')).dir("shop");
        ended.env("DEVSTACK_RUNTIME_DIR", &other).run().expect_code(code);
    }
    // Nor can one start where none can be had.
    let ended = project.devstack(["up"]).dir("shop").env("DEVSTACK_RUNTIME_DIR", "run").run();
    let ended = ended.expect_code(1);
    assert!(ended.stderr.contains("is not an absolute path"), "{}", ended.stderr);
    assert!(ended.stderr.contains("help: set DEVSTACK_RUNTIME_DIR"), "{}", ended.stderr);
    project.end(&up);
}

/// devstack and its guard are killed at the same moment.
#[cfg(target_os = "linux")]
#[test]
fn orphans_of_killed_stacks_are_killed_even_if_their_directory_is_gone() {
    use crate::support::{leave_behind, misbehaving};
    const TREES: &str = r#"
        [services.api]
        command = """
            until test -e go; do sleep 0.02; done
            exec {misbehave} tree plain setsid double"""
        "#;
    let project = TestProject::new();
    let dirs = ["there", "moved", "deleted"].map(|name| project.path(name));
    let fixtures = || misbehaving(&project).len();
    for (before, dir) in dirs.iter().enumerate() {
        leave_behind(&start(&project, dir, TREES), &project, dir, &["| ready"]);
        // The main process and its group die with the guard.
        eventually("two to be left", || (fixtures() == 2 * before + 2).then_some(()));
    }
    fs::rename(&dirs[1], project.path("away")).expect("it can be moved");
    delete(&dirs[2]);
    let works = start(&project, &project.path("works"), ONE);
    assert_eq!(fixtures(), 3 * 2 + 1);
    let found = all(&project, &["ps", "--json"]).run().expect_code(0).json();
    assert_eq!(found["stacks"].as_array().map(Vec::len), Some(1), "{found}");
    let mut doctor = project.devstack(["doctor"]).dir("works");
    doctor = doctor.env("DEVSTACK_RUNTIME_DIR", runtime(&project));
    let doctor = doctor.run().stdout;
    assert!(doctor.contains("processes of a killed devstack are still running"), "{doctor}");
    // Of those whose directory is gone; `down --all` would stop what works.
    assert!(doctor.contains("run `kill ") && !doctor.contains("down --all"), "{doctor}");

    let answer = all(&project, &["down", "--json"]).run().expect_code(0).json();
    for (name, state) in [("there", "there"), ("moved", "gone"), ("deleted", "gone")] {
        let entry = by_name(&answer, name);
        assert_eq!((&entry["folder"], &entry["error"]), (&json!(state), &Value::Null));
        let text = entry["text"].as_str().expect("a text");
        assert!(
            text.contains("terminated leftover processes of an earlier devstack: misbehave (pid "),
            "{text}"
        );
    }
    assert_eq!(by_name(&answer, "works")["text"], "stopped the stack");
    assert_eq!(works.wait_code(), 0);
    assert_eq!(project.alive(), []);
    // Nothing is left of them, not even a socket; and once is enough.
    project.sockets_must_go();
    let again = all(&project, &["down", "--json"]).run().expect_code(0).json();
    assert_eq!(again["stacks"], json!([]));
    assert!(!dirs[0].join(".devstack/runs.json").exists());
    project.finish();
}
