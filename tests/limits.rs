//! Limits that are met while a stack runs, and kernels and sandboxes that lack something devstack would like to have.

#![cfg(target_os = "linux")]

use crate::support::{
    OtherUser, RunningProgram, TestProject, misbehave, require, require_program, service,
    user_namespaces,
};

/// Services that go on, `s00` and so on.
fn services(count: usize) -> String {
    let one = |number| {
        format!(
            "[services.s{number:02}]\ncommand = [\"{}\", \"run\"]\n",
            misbehave().to_str().expect("a plain path")
        )
    };
    (0..count).map(one).collect()
}

const DEVSTACK: &str = env!("CARGO_BIN_EXE_devstack");

#[test]
fn a_stack_that_uses_up_its_descriptors_is_seen_and_mended_from_other_terminals() {
    // A service takes several, so that with one of these limits none at all are left.
    for limit in 60..63 {
        let project = TestProject::with_config(&services(30));
        let script = format!("ulimit -n {limit}; exec \"$0\" up");
        let up = project.program("/bin/sh").args(["-c", &script, DEVSTACK]).start();
        up.wait_for(" of 30 failed");
        let ps = project.ps();
        let of = |name: &str| service(&ps, name).clone();
        assert_eq!(of("s00")["phase"], "ready", "{ps}");
        assert_eq!(of("s29")["phase"], "failed", "{ps}");
        let failed = up.lines().iter().filter(|line| line.contains("* failed: ")).count();
        let said = up.lines().iter().filter(|line| line.contains("too many open files")).count();
        assert!(said >= failed, "{:#?}", up.lines());
        project.devstack(["logs", "s00"]).run().expect_code(0);
        let refused = project.devstack(["start", "s29"]).run().expect_code(1);
        assert!(refused.stderr.contains("ulimit -n"), "{refused:?}");
        // What is stopped makes room.
        project.devstack(["stop", "s00", "s01", "s02", "s03", "s04"]).run().expect_code(0);
        project.devstack(["start", "s29"]).run().expect_code(0);
        assert_eq!(service(&project.ps(), "s05")["restarts"], 0);
        project.devstack(["down"]).run().expect_code(0);
        assert_eq!(up.wait_code(), 0);
        project.finish();
    }
}

#[test]
fn where_no_more_processes_are_allowed_what_runs_runs_on() {
    if !require("user namespaces", user_namespaces()) || require_program("prlimit").is_none() {
        return;
    }
    // Nothing limits root.
    let Some(other) = OtherUser::new() else { return };
    for limit in [4, 8, 11, 14, 17] {
        let project = TestProject::new();
        std::fs::write(other.dir().join("devstack.toml"), services(14)).expect("we are root");
        // In a namespace of its own only its own processes count.
        let unshare = || other.program(&project, "/usr/bin/unshare".as_ref()).args(["-Ur"]);
        let number = format!("--nproc={limit}");
        let up = unshare().args(["prlimit", &number, "--", DEVSTACK, "up"]).start();
        if limit == 4 {
            assert_eq!(up.wait_code(), 1);
        } else {
            let last = up.wait_for(" of 14 failed");
            assert!(
                up.lines()
                    .iter()
                    .any(|line| line.contains("raise the process limit (see `ulimit -u`)"))
            );
            if !last.contains("14 of 14") {
                // It measures and records as ever, which takes a thread.
                let ps = unshare().args([DEVSTACK, "ps"]).run();
                assert!(
                    ps.code() == 0 && ps.stdout.contains("  ready  "),
                    "with {limit}: {ps:?} {:#?}",
                    up.lines()
                );
                up.interrupt();
                assert_eq!(up.wait_code(), 130);
            }
            up.wait_exit();
        }
        let text = up.stdout() + &up.stderr();
        assert!(!text.contains("panicked"), "with {limit}: {text}");
        project.assert_nothing_alive();
        project.finish();
    }
}

/// What old kernels do not have. Some sandboxes forbid it.
const NEW_CALLS: [&str; 5] = ["clone3", "close_range", "pidfd_open", "pidfd_send_signal", "statx"];

/// devstack with such a kernel.
fn without(
    project: &TestProject,
    error: &str,
    calls: &[&str],
    words: &[&str],
) -> crate::support::TestCommand {
    let deadline = ["--deadline", "900", "without", error];
    project.misbehave(deadline).args(calls).args(["--", DEVSTACK]).args(words)
}

/// Services that hide what they start, one of them deaf, and what `up` prints when all of them run.
fn hiding(project: &TestProject, error: &str, calls: &[&str]) -> RunningProgram {
    project.configure(
        r#"
        [services.tree]
        command = ["{misbehave}", "tree", "plain", "setsid", "double"]
        [services.deaf]
        command = ["{misbehave}", "tree", "setsid", "double", "--clear-env", "--ignore-term"]
        stop = { grace = "300ms" }
        "#,
    );
    let up = without(project, error, calls, &["up"]).start();
    up.wait_for("tree | ready");
    up.wait_for("deaf | ready");
    up
}

/// Sandboxes refuse with `EPERM`; without any `clone3` by that word the C library could start nothing at all.
const LACKING: [(&str, &[&str]); 3] = [
    ("ENOSYS", &NEW_CALLS),
    ("EPERM", &["close_range", "pidfd_open"]),
    ("EPERM", &["pidfd_send_signal"]),
];

#[test]
fn an_old_kernel_leaves_nothing_behind_and_asks_before_it_kills() {
    for (error, calls) in LACKING {
        let project = TestProject::new();
        let up = hiding(&project, error, calls);
        without(&project, error, calls, &["ps"]).run().expect_code(0);
        up.end();
        project.assert_nothing_alive();
        // Only a process that does not listen is killed.
        let text = up.stdout();
        assert!(text.contains("deaf did not stop within"), "{text}");
        assert!(!text.contains("tree did not stop within"), "{text}");
        project.finish();
    }
}

#[test]
fn on_an_old_kernel_the_end_of_devstack_is_the_end_of_all() {
    for (error, calls) in LACKING {
        let project = TestProject::new();
        let up = hiding(&project, error, calls);
        up.kill9();
        project.assert_nothing_alive();
        project.finish();
    }
}

#[test]
fn what_a_kernel_lacks_is_said_by_the_doctor() {
    let project = TestProject::new();
    for (error, calls) in LACKING {
        let ended = without(&project, error, calls, &["doctor"]).run().expect_code(1);
        let line = ended.stdout.lines().find(|line| line.contains("pidfd")).expect("a line");
        assert!(line.starts_with("error"), "{line}");
    }
    project.finish();
}

#[test]
fn without_its_proc_nothing_is_started() {
    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let project =
        TestProject::with_config("[services.api]\ncommand = [\"{misbehave}\", \"run\"]\n");
    let hide = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
    // No /proc at all; and that of another space of numbers.
    for enter in [&["-Urm", "sh", "-c", hide, DEVSTACK][..], &["-Urpf", DEVSTACK]] {
        let devstack = |word: &str| project.program("unshare").args(enter).args([word]).run();
        let refused = devstack("up").expect_code(1);
        assert!(refused.stderr.contains("/proc is not mounted"), "{refused:?}");
        assert!(refused.stderr.contains("mount -t proc"), "{refused:?}");
        assert_eq!(refused.stdout, "");
        let doctor = devstack("doctor").expect_code(1).stdout;
        assert!(doctor.contains("error  proc"), "{doctor}");
    }
    project.finish();
}

#[test]
fn where_processes_of_others_are_hidden_nothing_is_left() {
    let Some(other) = OtherUser::new() else { return };
    let project = TestProject::new();
    let toml = format!(
        "[services.tree]\ncommand = [\"{}\", \"tree\", \"setsid\", \"double\", \"--ignore-term\"]\n\
         stop = {{ grace = \"100ms\" }}\n",
        misbehave().display()
    );
    std::fs::write(other.dir().join("devstack.toml"), toml).expect("we are root");
    let script = "mount -o remount,hidepid=2 /proc || exit 99
        cd \"$2\"
        setpriv --reuid 65534 --regid 65534 --clear-groups \
            env HOME=\"$2/home\" XDG_RUNTIME_DIR=\"$2/run\" XDG_STATE_HOME=\"$2/state\" \"$1\" up &
        wait $!
        echo \"code $?\"
        ps -e -o comm | grep -c misbehave";
    let dir = other.dir().to_str().expect("a plain path");
    let up = project
        .program("unshare")
        .args(["-pfm", "--mount-proc", "--kill-child", "sh", "-c", script, "sh", DEVSTACK, dir])
        .start();
    if !require("a /proc that can be mounted with hidepid", up.is_running()) {
        return;
    }
    up.wait_for("tree | ready");
    let down = other.program(&project, DEVSTACK.as_ref()).args(["down"]).run();
    down.expect_code(0);
    up.wait_for("code 0");
    up.wait_line(|line| line == "0");
    up.wait_exit();
    project.finish();
}
