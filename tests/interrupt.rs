//! devstack dies of Ctrl-C, as shells expect of a program; and it reaps children that it did not start.

#[cfg(target_os = "linux")]
use crate::support::eventually;
use crate::support::{CTRL_C, Signal, TestProject, require_program};
use std::os::unix::process::ExitStatusExt;

const ONE: &str = "[services.app]\ncommand = [\"{misbehave}\", \"run\"]\n";

#[test]
fn ctrl_c_ends_the_loop_of_a_shell() {
    let Some(bash) = require_program("bash") else { return };
    let project = TestProject::with_config(ONE);
    // This shell goes on after a program that exits, even with 130.
    let script = "for i in 1 2 3; do \"$0\" up; echo \"turn $i\"; done";
    let shell = project.program(&bash).args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
    let shell = shell.terminal(30, 100).start();
    shell.wait_for("is up");
    shell.write(CTRL_C);
    assert_eq!(shell.wait_exit().signal(), Some(Signal::INT.as_raw()));
    shell.wait_closed();
    assert!(!shell.lines().iter().any(|line| line.starts_with("turn")), "{:#?}", shell.lines());
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn only_ctrl_c_is_died_of() {
    let project = TestProject::with_config(ONE);
    for (signal, code) in [(Signal::INT, None), (Signal::TERM, Some(143)), (Signal::HUP, Some(129))]
    {
        let up = project.up();
        up.signal(signal);
        assert_eq!(up.wait_exit().code(), code, "{signal:?}");
        up.wait_for("stopping: ");
        assert_eq!(project.alive(), []);
    }
    let ended = project.devstack(["run", "--", "sh", "-c", "exit 130"]).run();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    project.finish();
}

#[cfg(target_os = "linux")]
#[test]
fn children_of_a_shell_that_became_devstack_are_reaped() {
    use crate::support::children;

    let run = "run -- sh -c 'until test -e end; do sleep 0.05; done'";
    for command in ["up", run] {
        let project = TestProject::with_config(ONE);
        // One is dead before devstack starts, the other one exits while it runs.
        let script =
            format!("true & until test -e go; do sleep 0.05; done & exec \"$0\" {command}");
        let shell =
            project.program("/bin/sh").args(["-c", &script, env!("CARGO_BIN_EXE_devstack")]);
        let shell = shell.start();
        shell.wait_for("app | ready");
        let inherited =
            || children(shell.pid(), "sh").into_iter().chain(children(shell.pid(), "true"));
        // The command of `run` is a third one.
        let own = usize::from(command == run);
        eventually("one to be reaped", || (inherited().count() == 1 + own).then_some(()));
        project.write("go", "");
        eventually("both to be reaped", || (inherited().count() == own).then_some(()));
        assert!(shell.is_running());
        project.write("end", "");
        shell.interrupt();
        shell.wait_exit();
        project.finish();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_first_process_of_a_container_reaps_what_it_adopts_and_exits_with_130() {
    use crate::support::{children, require, signal_all, user_namespaces};

    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let project = TestProject::with_config(ONE);
    // As `docker exec` does, another process of the namespace leaves an orphan.
    let script = "(sh -c '(until test -e go; do sleep 0.05; done; touch gone) &'; sleep 1000) & exec \"$0\" up > log 2>&1";
    let ns = project
        .program("/usr/bin/unshare")
        .args(["-Urpfmn", "--mount-proc", "/bin/sh", "-c", script])
        .args([env!("CARGO_BIN_EXE_devstack")])
        .start();
    let log = || std::fs::read_to_string(project.path("log")).unwrap_or_default();
    eventually("the stack to be up", || log().contains("is up").then_some(()));
    project.write("go", "");
    eventually("the orphan to exit", || project.path("gone").exists().then_some(()));
    project.assert_no_zombie();
    signal_all(&children(ns.pid(), "devstack"), Signal::INT);
    assert_eq!(ns.wait_exit().code(), Some(130), "{}", log());
    project.finish();
}
