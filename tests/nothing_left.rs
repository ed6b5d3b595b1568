//! Whatever ends, nothing that a service started is left.

#![cfg(target_os = "linux")]

use serde_json::json;

use crate::support::{
    RunningProgram, Signal, TestProject, children, eventually, guard, keepers, kill_processes,
    service,
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
    let project = TestProject::new();
    project.write("devstack.toml", HIDING);
    let up = project.devstack(["up"]).start();
    for service in ["tree   ", "cleared", "deaf   "] {
        up.wait_for(&format!("{service} | ready"));
    }
    up.wait_count(2, "shell   | ready");
    (project, up)
}

/// How many processes of the services are alive.
fn fixtures(project: &TestProject) -> usize {
    project.alive().iter().filter(|one| one.command.contains("misbehave")).count()
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
    up.end();
    project.finish();
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
        let project = TestProject::new();
        project.write("devstack.toml", PROBING);
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
    let guard = guard(&up);
    // Stopped first, so that neither sees the other die.
    up.stop();
    kill_processes(&[guard]);
    up.kill9();
    project.finish();
}

#[test]
fn a_killed_keeper_takes_its_service_along_and_only_that() {
    let (project, up) = hiding();
    let before = project.ps();
    let tree = service(&before, "tree")["pid"].as_u64().expect("it runs") as u32;
    let keepers = keepers(&up);
    assert_eq!(keepers.len(), 4);
    let keeper = keepers.into_iter().find(|keeper| children(*keeper, "misbehave").contains(&tree));
    kill_processes(&[keeper.expect("one of them keeps it")]);
    let again = project.wait_ps(|ps| {
        service(ps, "tree")["restarts"] == 1 && service(ps, "tree")["phase"] == "ready"
    });
    for name in ["cleared", "deaf", "shell"] {
        assert_eq!(service(&again, name)["pid"], service(&before, name)["pid"], "{name}");
    }
    assert_eq!(service(&again, "tree")["exit"], json!({"signal": "KILL"}));
    // Of each a main process and its children; of the killed one only the new run.
    up.wait_count(2, "tree    | ready");
    assert_eq!(fixtures(&project), 4 + 3 + 1 + 3);
    up.end();
    project.finish();
}

#[test]
fn what_outlives_its_main_process_is_ended_and_named() {
    let project = TestProject::new();
    project.write(
        "devstack.toml",
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
    up.wait_for("is up");
    let ps = project.ps();
    assert_eq!(service(&ps, "leaves")["message"]["class"], "orphan");
    assert_eq!(fixtures(&project), 1);
    up.end();
    project.finish();
}

#[test]
fn a_chain_of_forks_is_caught() {
    let project = TestProject::new();
    project.write(
        "devstack.toml",
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
    let project = TestProject::new();
    project.write("devstack.toml", HIDING);
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
    eventually("the folder to be free", || project.alive().is_empty().then_some(()));
    assert_eq!(project.try_ps().code(), 3);
    let up = project.devstack(["up"]).start();
    up.wait_for("is up");
    assert_eq!(project.ps()["supervisor_pid"], up.pid());
    up.end();
    project.sockets_must_go();
    project.finish();
}
