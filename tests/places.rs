//! Where a stack can be and from where it is found: directories that move, are deleted or have odd names; homes
//! that are not there; holders that hang.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{
    RunningProgram, Signal, TestCommand, TestProject, eventually, require, service, user_namespaces,
};

const ONE: &str = "[services.api]\ncommand = [\"{misbehave}\", \"run\"]\n";

const DEVSTACK: &str = env!("CARGO_BIN_EXE_devstack");

fn up(project: &TestProject, dir: &Path) -> RunningProgram {
    project.write(dir.join("devstack.toml"), ONE);
    let up = project.devstack(["up"]).dir(dir).start();
    up.wait_for("is up");
    up
}

/// Sees, steers and ends the stack that `ask` reaches.
#[track_caller]
fn steer(up: &RunningProgram, ask: impl Fn(&[&str]) -> TestCommand) {
    let ps = ask(&["ps", "--json"]).run().expect_code(0).json();
    assert_eq!(ps["supervisor_pid"], up.pid());
    assert_eq!(service(&ps, "api")["phase"], "ready");
    ask(&["stop", "api"]).run().expect_code(0);
    let ps = ask(&["ps", "--json"]).run().expect_code(0).json();
    assert_eq!(service(&ps, "api")["phase"], "idle");
    ask(&["up"]).run().expect_code(4);
    ask(&["down"]).run().expect_code(0);
    assert_eq!(up.wait_code(), 0);
}

#[test]
fn a_directory_that_was_moved_is_the_same_stack() {
    let project = TestProject::new();
    let up = up(&project, &project.path("old"));
    let moved = project.outside("home").join("new");
    fs::rename(project.path("old"), &moved).expect("it can be moved");
    // What is there now is another one.
    project.write("old/devstack.toml", ONE);
    project.devstack(["ps"]).dir("old").run().expect_code(3);
    steer(&up, |args| project.devstack(args).dir(&moved));
    project.finish();
}

#[test]
fn a_command_in_a_deleted_directory_still_reaches_its_stack() {
    let project = TestProject::new();
    let dir = project.path("gone");
    let up = up(&project, &dir);
    let mut gate = project.gate("gate");
    // It is there before the directory is removed.
    let script = "echo here; : < \"$1\"; \"$0\" ps --json; \"$0\" stop api; \"$0\" down";
    let gate_path = gate.path().display().to_string();
    let shell = project.program("/bin/sh").args(["-c", script, DEVSTACK, &gate_path]);
    let shell = shell.dir(&dir).start();
    shell.wait_for("here");
    eventually("the directory to be deleted", || {
        // Logs may be written meanwhile.
        let _ = fs::remove_dir_all(&dir);
        (!dir.exists()).then_some(())
    });
    gate.open();
    assert_eq!(shell.wait_code(), 0);
    assert_eq!(up.wait_code(), 0);
    shell.wait_closed();
    let text = shell.stdout();
    assert!(text.contains(&format!("\"supervisor_pid\":{}", up.pid())), "{text}");
    assert!(text.contains("stopped api\n") && text.ends_with("stopped the stack\n"), "{text}");
    assert_eq!(shell.stderr(), "");
    project.finish();
}

#[test]
fn a_home_that_cannot_be_used_is_done_without() {
    let project = TestProject::new();
    let homeless = |args: &[&str]| {
        let launch = project.devstack(args).env("HOME", "/dev/null");
        launch.unset("XDG_RUNTIME_DIR").unset("XDG_STATE_HOME")
    };
    project.configure(ONE);
    let up = homeless(&["up"]).start();
    up.wait_for("is up");
    let runtime = fs::read_dir(project.outside("tmp")).expect("it is there").flatten();
    assert!(
        runtime
            .map(|entry| entry.file_name())
            .any(|name| { name.to_string_lossy().starts_with("devstack-") })
    );
    // Also where one exists.
    assert_eq!(project.ps()["supervisor_pid"], up.pid());
    steer(&up, homeless);
    project.finish();
}

#[test]
fn another_directory_for_temporary_files_changes_nothing() {
    let project = TestProject::new();
    let up = up(&project, &project.dir());
    let elsewhere = project.outside("cache");
    for unset in ["LANG", "XDG_RUNTIME_DIR", "HOME"] {
        // As from cron, where less is set than at a desk: the lock in the directory leads there.
        let asked = project.devstack(["ps", "--json"]).env("TMPDIR", &elsewhere).unset(unset);
        assert_eq!(asked.run().code(), 0, "without {unset}");
    }
    steer(&up, |args| project.devstack(args).env("TMPDIR", &elsewhere));
    project.finish();
}

#[test]
fn a_holder_that_hangs_is_named_by_every_command() {
    let project = TestProject::new();
    let up = up(&project, &project.dir());
    up.stop();
    let pid = format!("(pid {})", up.pid());
    let all =
        [&["ps"][..], &["down"], &["stop", "api"], &["logs"], &["logs", "-f"], &["plan"], &["up"]];
    // Side by side: each waits for an answer.
    for (args, one) in all.map(|args| (args, project.devstack(args).start())) {
        assert_eq!(one.wait_code(), 4, "{args:?}");
        one.wait_closed();
        assert!(one.stderr().contains(&pid), "{args:?}: {}", one.stderr());
    }
    up.signal(Signal::CONT);
    steer(&up, |args| project.devstack(args));
    project.finish();
}

#[test]
fn a_path_of_four_thousand_characters_has_a_stack() {
    /// Leaves room for the names of files below it; the longest that systems take is 4,095.
    const LONG: usize = 4_000;
    let project = TestProject::new();
    let mut dir = project.dir();
    while dir.as_os_str().len() + 101 < LONG {
        dir.push("x".repeat(100));
    }
    let rest = LONG - dir.as_os_str().len() - 1;
    dir.push("y".repeat(rest));
    let long = cfg!(target_os = "linux") && fs::create_dir_all(&dir).is_ok();
    if !require("paths of 4,000 characters", long) {
        return;
    }
    assert_eq!(dir.as_os_str().len(), LONG);
    let up = up(&project, &dir);
    let logs = project.devstack(["logs", "api"]).dir(&dir).run().expect_code(0).stdout;
    assert!(logs.contains("ready"), "{logs}");
    steer(&up, |args| project.devstack(args).dir(&dir));
    project.finish();
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_text_in_a_locale_of_another_alphabet() {
    use std::os::unix::ffi::OsStrExt;

    use serde_json::json;
    let project = TestProject::new();
    let dir = project.dir().join(std::ffi::OsStr::from_bytes(b"sh\xff\x1b[31mop I\xc4\xb1"));
    let runtime = project.outside("run").join("devstack");
    for (name, value) in [("LANG", "C"), ("LC_ALL", "tr_TR.UTF-8")] {
        project.write(dir.join("devstack.toml"), ONE);
        let up = project.devstack(["up"]).dir(&dir).env(name, value).start();
        up.wait_for("is up");
        let all = project.devstack(["ps", "--all"]).env("DEVSTACK_RUNTIME_DIR", &runtime);
        let table = all.run().expect_code(0).stdout;
        assert!(!table.contains('\u{1b}') && table.contains("op I\u{131}"), "{table:?}");
        let all = project.devstack(["ps", "--all", "--json"]).env("DEVSTACK_RUNTIME_DIR", &runtime);
        let all = all.run().expect_code(0).json();
        let stack = &all["stacks"][0];
        assert_eq!((&stack["folder"], &stack["pid"]), (&json!("there"), &json!(up.pid())));
        assert_eq!(stack["dir"], dir.to_string_lossy().as_ref());
        steer(&up, |args| project.devstack(args).dir(&dir).env(name, value));
    }
    project.finish();
}

#[test]
fn no_terminal_is_too_strange() {
    let project = TestProject::with_config(
        "[services.seed]\nkind = \"task\"\ncommand = [\"{misbehave}\", \"say\", \"sown\"]\n",
    );
    for columns in [1, 0, 2000] {
        for term in [None, Some("nonsense-42"), Some("dumb"), Some("")] {
            let launch = project.devstack(["up"]).terminal(1, columns).env("COLUMNS", "1");
            let launch = match term {
                Some(term) => launch.env("TERM", term),
                None => launch.unset("TERM"),
            };
            let up = launch.start();
            assert_eq!(up.wait_code(), 0, "{columns} {term:?}");
            up.wait_closed();
            let text = up.stdout();
            assert!(text.contains("sown") && !text.contains("panicked"), "{term:?}: {text}");
        }
    }
    project.finish();
}

/// The script, in which `"$0"` is devstack, where it may mount.
fn where_it_may_mount(project: &TestProject, script: &str) -> Option<TestCommand> {
    if !require("user namespaces", user_namespaces()) {
        return None;
    }
    let alone = ["-Urmpf", "--mount-proc", "--kill-child", "--propagation", "private"];
    let shell = ["/bin/sh", "-ec", script, DEVSTACK];
    Some(project.program("unshare").args(alone).args(shell))
}

#[test]
fn a_bind_mount_is_the_same_stack() {
    let project = TestProject::with_config(ONE);
    let other: PathBuf = project.outside("home").join("other");
    fs::create_dir(&other).expect("it is new");
    let script = "mount --bind . ../home/other\n\
                  exec \"$0\" run -- sh -c 'cd ../home/other; \"$0\" ps --json; \"$0\" restart api >&2' \"$0\"";
    let Some(launch) = where_it_may_mount(&project, script) else { return };
    let ended = launch.run().expect_code(0);
    let ps: Value = ended.json();
    assert_eq!(ps["dir"], project.dir().display().to_string());
    assert!(ended.stderr.contains("restarted api"), "{}", ended.stderr);
    project.finish();
}

#[test]
fn a_project_that_cannot_be_written_keeps_its_files_elsewhere() {
    let project = TestProject::with_config(ONE);
    let script = "mount --bind . .; cd \"$PWD\"; mount -o remount,ro,bind .\n\
                  ! touch x 2>&-; exec \"$0\" run -- \"$0\" logs api";
    let Some(launch) = where_it_may_mount(&project, script) else { return };
    let ended = launch.run().expect_code(0);
    assert!(ended.stdout.contains("ready"), "{ended:?}");
    assert!(!project.path(".devstack").exists());
    assert!(project.outside("state").join("devstack/projects").is_dir());
    project.finish();
}
