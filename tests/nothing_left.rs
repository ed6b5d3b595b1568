//! Whatever ends, nothing that a service started is left.

#![cfg(target_os = "linux")]

use crate::support::{
    RunningProgram, Signal, TestProject, eventually, guard, kill_all_at_once, kill_processes,
    misbehaving, service,
};

/// Services whose trees hide in every way there is.
const HIDING: &str = r#"
    [services.tree]
    command = ["{misbehave}", "tree", "plain", "setsid", "double"]
    stop = { grace = "300ms" }
    [services.cleared]
    command = ["{misbehave}", "tree", "setsid", "double", "--clear-env", "--ignore-term"]
    stop = { grace = "300ms" }
    [services.deaf]
    command = ["{misbehave}", "ignore", "TERM", "HUP", "INT"]
    stop = { grace = "300ms" }
    [services.shell]
    command = "{misbehave} run & {misbehave} run & wait"
    "#;

/// A stack of them, complete.
fn hiding() -> (TestProject, RunningProgram) {
    let project = TestProject::with_config(HIDING);
    let up = project.devstack(["up"]).start();
    for service in ["tree   ", "cleared", "deaf   "] {
        up.wait_for(&format!("{service} | ready"));
    }
    up.wait_count(2, "shell   | ready");
    (project, up)
}

/// How many processes of the services are alive.
fn fixtures(project: &TestProject) -> usize {
    misbehaving(project).len()
}

#[test]
fn after_ctrl_c() {
    let (project, up) = hiding();
    up.end();
    // Not even a moment later: the end of devstack is the end of all.
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn after_the_other_signals() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let (project, up) = hiding();
        up.signal(signal);
        assert_eq!(up.wait_code(), code);
        assert_eq!(project.alive(), []);
        project.finish();
    }
}

#[test]
fn after_down() {
    let (project, up) = hiding();
    project.devstack(["down"]).run().expect_code(0);
    assert_eq!(up.wait_code(), 0);
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn after_a_stop_of_the_service() {
    let (project, up) = hiding();
    project.devstack(["stop", "tree", "cleared", "deaf", "shell"]).run().expect_code(0);
    assert_eq!(fixtures(&project), 0);
    project.end(&up);
}

#[test]
fn after_devstack_is_killed() {
    let (project, up) = hiding();
    up.kill9();
    project.finish();
}

/// Commands of probes that hang and leave daemons behind.
const PROBING: &str = r#"
    [services.asked]
    command = ["{misbehave}", "run"]
    ready = { exec = "{misbehave} --ignore TERM tree plain setsid double > ready-probe" }
    [services.checked]
    command = ["{misbehave}", "run"]
    health = { exec = "{misbehave} orphan setsid; {misbehave} run > health-probe", interval = "10ms" }
    "#;

#[test]
fn of_the_commands_of_probes() {
    for end in [Signal::KILL, Signal::TERM, Signal::INT] {
        let project = TestProject::with_config(PROBING);
        let up = project.devstack(["up"]).start();
        eventually("both probes to hang", || {
            let hangs = |file: &str| {
                std::fs::read_to_string(project.path(file)).is_ok_and(|text| text.contains("ready"))
            };
            (hangs("ready-probe") && hangs("health-probe")).then_some(())
        });
        match end {
            Signal::KILL => up.kill9(),
            other => {
                up.signal(other);
                up.wait_exit();
                assert_eq!(project.alive(), []);
            }
        }
        project.finish();
    }
}

/// A service and one that needs it, which report when they end.
#[cfg(debug_assertions)]
const ORDERED: &str = r#"
    [services.db]
    command = "trap 'echo db ends; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    [services.api]
    command = "trap 'echo api ends; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    depends_on = ["db"]
    "#;

/// Breaks the loop of devstack; only a debug build can be broken. Returns the exit code.
#[cfg(debug_assertions)]
fn broken(how: &str, args: &[&str]) -> (TestProject, RunningProgram, i32) {
    let project = TestProject::with_config(ORDERED);
    let broken = project.devstack(args).env("DEVSTACK_TEST_PANIC", how).start();
    broken.wait_for("api | up");
    broken.wait_for("db  | up");
    broken.signal(Signal::WINCH);
    let code = broken.wait_code();
    broken.wait_closed();
    assert_eq!(project.alive(), []);
    let record = project.path(".devstack/runs.json");
    assert!(!record.exists(), "the record is left: {}", record.display());
    broken.wait_for("internal error: devstack panicked; stopping the stack");
    broken.wait_for("everything stopped");
    (project, broken, code)
}

#[cfg(debug_assertions)]
#[test]
fn after_a_panic_that_spares_the_engine_in_order() {
    let (project, up, code) = broken("once", &["up"]);
    assert_eq!(code, 70);
    let text = up.stdout();
    let end = |name: &str| text.find(&format!("{name} ends")).expect("it was stopped gracefully");
    assert!(end("api") < end("db"), "{text}");
    project.finish();
}

#[cfg(debug_assertions)]
#[test]
fn after_a_panic_in_every_step() {
    let (project, up, code) = broken("always", &["up"]);
    assert_eq!(code, 70, "{}", up.stdout());
    project.finish();
    let (project, run, code) = broken("always", &["run", "--", "sleep", "1000"]);
    assert_eq!(code, 125, "{}", run.stderr());
    project.finish();
}

#[test]
fn after_the_guard_is_killed() {
    let (project, up) = hiding();
    kill_processes(&[guard(&up)]);
    assert_eq!(up.wait_code(), 1);
    up.wait_closed();
    assert!(up.stdout().contains("stopping: the guard process was killed"), "{}", up.stdout());
    project.finish();
}

#[test]
fn after_devstack_and_its_guard_are_killed() {
    let (project, up) = hiding();
    // Known to the guard: the groups of the four main processes, and of four that left them.
    eventually("the guard to see the groups", || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", guard(&up))).expect("it is ours");
        (files.count() >= 3 + 3 + 2 * (4 + 4)).then_some(())
    });
    kill_all_at_once(&up);
    // Without any command.
    project.finish();
}

#[test]
fn what_outlives_its_main_process_is_ended_and_named() {
    let project = TestProject::with_config(
        r#"
        [services.leaves]
        command = ["{misbehave}", "orphan", "plain", "setsid", "double"]
        [services.holds]
        command = ["{misbehave}", "hold-pipe"]
        [services.stays]
        command = ["{misbehave}", "run"]
        "#,
    );
    let up = project.devstack(["up"]).start();
    let orphans =
        ["plain", "setsid", "double"].map(|kind| up.wait_pid(&format!("leaves | child {kind}")));
    up.wait_for("leaves * done: exit 0");
    let note = up.wait_for("leaves * left processes running, now terminated: misbehave (pid ");
    for pid in orphans {
        assert!(note.contains(&format!("(pid {pid})")), "{pid} in {note}");
    }
    up.wait_for("holds  * done: exit 0");
    up.wait_for("stays  | ready");
    let ps = project.ps();
    assert_eq!(service(&ps, "leaves")["message"]["class"], "orphan");
    assert_eq!(fixtures(&project), 1);
    project.end(&up);
}

#[test]
fn a_chain_of_forks_is_caught() {
    let project = TestProject::with_config(
        r#"
        [services.chain]
        command = ["{misbehave}", "fork-chain", "300", "--on-term"]
        stop = { grace = "200ms" }
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("chain | ready");
    up.end();
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn a_start_that_is_interrupted_leaves_nothing() {
    let project = TestProject::with_config(HIDING);
    for line in
        ["tree    * starting", "cleared | child", "tree    | child plain", "shell   | ready"]
    {
        let up = project.devstack(["up"]).start();
        up.wait_for(line);
        up.end();
        assert_eq!(project.alive(), []);
    }
    project.finish();
}

#[test]
fn the_next_start_heals_what_a_killed_one_left() {
    let (project, up) = hiding();
    up.kill9();
    eventually("the directory to be free", || project.alive().is_empty().then_some(()));
    assert_eq!(project.try_ps().code(), 3);
    let up = project.up();
    assert_eq!(project.ps()["supervisor_pid"], up.pid());
    up.end();
    project.sockets_must_go();
    project.finish();
}

/// A server that goes into the background, and a program that ends with its stdin, are told how to stay.
#[test]
fn what_ends_at_once_is_told_how_to_stay() {
    let project = TestProject::with_config(
        r#"
        [services.daemon]
        command = "{misbehave} run & exit 0"
        [services.watcher]
        command = ["cat"]
        [services.stays]
        command = ["{misbehave}", "run"]
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("daemon  * left processes running, now terminated: ");
    up.wait_for(
        "keep the service in the foreground: remove its option to daemonize, or a trailing `&`",
    );
    up.wait_for("watcher * exited at once, perhaps because its stdin is /dev/null");
    up.wait_for("set `tty = true` under [services.watcher]");
    project.end(&up);
}
