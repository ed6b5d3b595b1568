//! What cannot be killed, such as a frozen process, and helpers that do not work: every end is
//! bounded, says what is left, and starts no second copy beside it.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{
    RunningProgram, Signal, TestProject, children, eventually, guard, service, signal_all,
};

const ONE: &str = r#"
    [services.api]
    command = ["{misbehave}", "run"]
    stop = { grace = "100ms" }
    "#;

/// A cgroup whose processes get no time, so that not even SIGKILL ends them. Thaws when dropped, and
/// when the test is killed.
struct FrozenGroup {
    dir: PathBuf,
    shell: Child,
}

impl FrozenGroup {
    /// Freezes these processes. `None`: this user or system cannot do that.
    fn freeze(pids: &[u32]) -> Option<FrozenGroup> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("devstack-test-{}-{number}", std::process::id());
        // Version 2 lets SIGKILL through, and few systems have both: skipped even where nothing else is.
        let dir = Path::new("/sys/fs/cgroup/freezer").join(name);
        if fs::create_dir(&dir).is_err() {
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            let what = "root and the freezer of cgroups version 1";
            let _ = writeln!(std::io::stderr(), "skipped: {test} needs {what}");
            return None;
        }
        let file = dir.join("freezer.state");
        for pid in pids {
            fs::write(dir.join("cgroup.procs"), pid.to_string()).expect("the process lives");
        }
        let script = r#"echo FROZEN > "$0"; echo; read _; echo THAWED > "$0""#;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).arg(&file);
        let mut shell =
            shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let output = shell.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut String::new()).expect("a readable pipe");
        let group = FrozenGroup { dir, shell };
        let state = || fs::read_to_string(&file).expect("the group exists");
        eventually("the group to be frozen", || (state() == "FROZEN\n").then_some(()));
        Some(group)
    }
}

impl Drop for FrozenGroup {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        // As soon as the last killed process has gone.
        eventually("the group to be empty", || fs::remove_dir(&self.dir).ok());
    }
}

/// A stack with one service, which is frozen.
fn frozen() -> Option<(TestProject, RunningProgram, FrozenGroup, u32)> {
    let project = TestProject::with_config(ONE);
    let up = project.devstack(["up"]).start();
    up.wait_for("api | ready");
    let pid = pid(&project);
    match FrozenGroup::freeze(&[pid]) {
        Some(group) => Some((project, up, group, pid)),
        None => {
            up.end();
            None
        }
    }
}

fn pid(project: &TestProject) -> u32 {
    // What a run prints can be seen before that it is there.
    let ps = project.wait_ps(|ps| service(ps, "api")["pid"].is_u64());
    let pid = service(&ps, "api")["pid"].as_u64();
    u32::try_from(pid.expect("it runs")).expect("a pid")
}

#[test]
fn a_restart_fails_and_the_service_starts_once_its_process_has_gone() {
    let Some((project, up, group, pid)) = frozen() else { return };
    let said = format!("(pid {pid}) is frozen by its cgroup");
    let restart = project.devstack(["restart", "api"]).run().expect_code(1);
    assert!(restart.stderr.contains(&said), "{restart:?}");
    assert!(restart.stderr.contains("help: thaw it with `echo "), "{restart:?}");
    up.wait_for(&said);
    let ps = project.ps();
    let api = service(&ps, "api");
    assert_eq!(api["phase"], "failed", "{api}");
    assert_eq!(api["message"]["class"], "stop-timeout", "{api}");
    let why = project.devstack(["why", "api"]).run();
    assert!(why.stdout.contains(&said), "{why:?}");
    assert!(why.stdout.contains("it then starts again"), "{why:?}");
    // No second copy meanwhile, and no request that waits for the first.
    for request in ["start", "restart"] {
        let refused = project.devstack([request, "api"]).run().expect_code(1);
        assert!(refused.stderr.contains(&said), "{refused:?}");
    }
    assert_eq!(service(&project.ps(), "api")["run"], 1);
    drop(group);
    let ps = project.wait_ps(|ps| service(ps, "api")["phase"] == "ready");
    assert_ne!(service(&ps, "api")["pid"], pid);
    project.end(&up);
}

#[test]
fn a_stop_fails_and_holds_once_the_process_has_gone() {
    let Some((project, up, group, pid)) = frozen() else { return };
    let stop = project.devstack(["stop", "api"]).run().expect_code(1);
    assert!(stop.stderr.contains(&format!("(pid {pid}) is frozen")), "{stop:?}");
    drop(group);
    project.wait_ps(|ps| service(ps, "api")["phase"] == "idle");
    project.end(&up);
}

#[test]
fn down_fails_and_names_the_process() {
    let Some((project, up, group, pid)) = frozen() else { return };
    let down = project.devstack(["down"]).run().expect_code(1);
    assert!(down.stderr.contains(&format!("(pid {pid}) is frozen")), "{down:?}");
    assert_eq!(up.wait_code(), 1);
    up.wait_for("cannot verify that all processes of the stack have exited");
    // Nor does the next devstack start a second copy beside it.
    let next = project.devstack(["up"]).run().expect_code(1);
    let said = "cannot kill leftover processes of an earlier devstack";
    assert!(next.stderr.contains(said), "{next:?}");
    assert!(next.stderr.contains(&format!("(pid {pid})")), "{next:?}");
    drop(group);
    let next = project.devstack(["up"]).start();
    next.wait_for("api | ready");
    next.end();
    project.finish();
}

#[test]
fn the_second_ctrl_c_ends_with_1() {
    let Some((project, up, group, pid)) = frozen() else { return };
    up.interrupt();
    up.wait_for("stopping: Ctrl-C");
    up.interrupt();
    assert_eq!(up.wait_code(), 1);
    up.wait_for(&format!("(pid {pid}) is frozen by its cgroup"));
    drop(group);
    project.finish();
}

#[test]
fn the_third_ctrl_c_ends_at_once() {
    let Some((project, up, group, _)) = frozen() else { return };
    for count in 1..=3 {
        up.interrupt();
        // Signals that come together count as one.
        match count {
            1 => drop(up.wait_for("stopping: Ctrl-C")),
            2 => drop(up.wait_for("killing: Ctrl-C again")),
            _ => {}
        }
    }
    assert_eq!(up.wait_code(), 130);
    up.wait_for("cannot verify that all processes of the stack have exited");
    assert!(!up.stdout().contains("cannot be killed"), "it waited: {}", up.stdout());
    drop(group);
    project.finish();
}

/// A stack whose probe is frozen, which no service waits for.
fn frozen_probe() -> Option<(TestProject, RunningProgram, FrozenGroup)> {
    let project = TestProject::with_config(
        "[services.api]\ncommand = ['{misbehave}', 'run']\nready = { exec = 'exec sleep 1234' }\n",
    );
    let up = project.devstack(["up"]).start();
    let probe = eventually("the probe to run", || {
        let alive = project.alive();
        Some(alive.iter().find(|one| one.command.contains("sleep 1234"))?.pid)
    });
    match FrozenGroup::freeze(&[probe]) {
        Some(group) => Some((project, up, group)),
        None => {
            up.end();
            None
        }
    }
}

#[test]
fn what_no_service_waits_for_holds_up_the_end_no_longer_either() {
    let Some((project, up, group)) = frozen_probe() else { return };
    up.interrupt();
    up.wait_for("still waiting for the last processes to exit");
    assert_eq!(up.wait_code(), 1);
    up.wait_for("cannot verify that all processes of the stack have exited");
    drop(group);
    project.finish();
}

#[test]
fn the_third_ctrl_c_ends_the_last_wait_too() {
    let Some((project, up, group)) = frozen_probe() else { return };
    up.interrupt();
    up.wait_for("still waiting for the last processes to exit");
    // Signals that come together count as one.
    eventually("the end", || {
        up.interrupt();
        (!up.is_running()).then_some(())
    });
    assert_eq!(up.wait_code(), 130, "it waited to the end: {}", up.stdout());
    drop(group);
    project.finish();
}

#[test]
fn a_build_that_leaves_something_frozen_is_reported_and_runs_again() {
    let project = TestProject::new();
    project.write("go", "");
    project.configure(r#"
    [services.api]
    command = ["{misbehave}", "run"]
    watch = { paths = ["go"], run = "test -e left || { sleep 1235 & echo $! > left; until test -e on; do sleep 0.05; done; }; echo built" }
    "#);
    let up = project.up();
    project.write("go", "now");
    let left = eventually("the build to run", || {
        std::fs::read_to_string(project.path("left")).ok()?.trim().parse().ok()
    });
    let Some(group) = FrozenGroup::freeze(&[left]) else { return up.end() };
    project.write("on", "");
    up.wait_for(&format!("its watch command cannot be killed: sleep 1235 (pid {left}) is frozen"));
    drop(group);
    up.wait_count(2, "api | built");
    project.wait_ps(|ps| service(ps, "api")["message"].is_null());
    project.end(&up);
}

#[test]
fn run_ends_with_123() {
    let project = TestProject::with_config(ONE);
    let waits = ["run", "--", "sh", "-c", "until test -e end; do sleep 0.05; done"];
    let run = project.devstack(waits).start();
    run.wait_for("api | ready");
    let Some(group) = FrozenGroup::freeze(&[pid(&project)]) else {
        project.write("end", "");
        run.wait_exit();
        return;
    };
    project.write("end", "");
    assert_eq!(run.wait_code(), 123);
    drop(group);
    project.finish();
}

#[test]
fn run_ends_although_its_command_cannot_be_killed() {
    let project = TestProject::with_config(ONE);
    let run = project.devstack(["run", "--", "sh", "-c", "sleep 1000"]).start();
    let command = eventually("the command to run", || {
        let mut found = children(run.pid(), "sh").into_iter().chain(children(run.pid(), "sleep"));
        found.next_back()
    });
    let Some(group) = FrozenGroup::freeze(&[command]) else { return };
    run.signal(Signal::TERM);
    assert_eq!(run.wait_code(), 123);
    let said =
        format!("cannot kill processes left by the command, even with SIGKILL: pid {command}");
    run.wait_for(&said);
    drop(group);
    project.kill_all();
    project.finish();
}

#[test]
fn a_stopped_guard_goes_on_with_each_request() {
    let project = TestProject::with_config(ONE);
    let up = project.devstack(["up"]).start();
    up.wait_for("api | ready");
    for request in [&["restart", "api"][..], &["stop", "api"], &["start", "api"], &["down"]] {
        signal_all(&[guard(&up)], Signal::STOP);
        project.devstack(request).run().expect_code(0);
    }
    assert_eq!(up.wait_code(), 0);
    project.finish();
}

#[test]
fn a_request_that_waits_says_for_what() {
    let project = TestProject::with_config(
        "[services.api]\ncommand = ['{misbehave}', 'ignore', 'TERM']\nstop = { grace = '20s' }\n",
    );
    let up = project.up();
    let stop = project.devstack(["stop", "api"]).terminal(30, 100).start();
    stop.wait_for("still waiting: api is stopping (stop requested)");
    up.interrupt();
    up.wait_for("stopping: Ctrl-C");
    up.interrupt();
    assert_eq!(up.wait_code(), 130);
    assert_eq!(stop.wait_code(), 0, "{:?}", stop.lines());
    project.finish();
}

/// A stack with an action that is frozen.
fn frozen_action() -> Option<(TestProject, RunningProgram, RunningProgram, FrozenGroup, u32)> {
    let project = TestProject::new();
    let actions = "actions.seed = { command = 'exec sleep 1236', parallel = true }\n";
    project.configure(&format!("{ONE}{actions}"));
    let up = project.devstack(["up"]).start();
    up.wait_for("api | ready");
    let seed = project.devstack(["do", "api", "seed"]).start();
    let pid = eventually("the action to run", || {
        let alive = project.alive();
        Some(alive.iter().find(|one| one.command.contains("sleep 1236"))?.pid)
    });
    match FrozenGroup::freeze(&[pid]) {
        Some(group) => Some((project, up, seed, group, pid)),
        None => {
            up.end();
            seed.wait_exit();
            None
        }
    }
}

#[test]
fn an_action_fails_and_may_run_again_once_its_process_has_gone() {
    let Some((project, up, seed, group, pid)) = frozen_action() else { return };
    let said = format!("action seed cannot be killed: sleep 1236 (pid {pid}) is frozen by its");
    project.devstack(["do", "--stop", "api", "seed"]).run().expect_code(0);
    assert_eq!(seed.wait_code(), 1);
    seed.wait_for(&said);
    up.wait_for(&said);
    // No second copy, though this action may run beside itself.
    for words in [&["do", "api", "seed"][..], &["do", "--stop", "api", "seed"]] {
        let refused = project.devstack(words).run().expect_code(1);
        assert!(refused.stderr.contains(&said), "{refused:?}");
        assert!(refused.stderr.contains("help: thaw it with `echo "), "{refused:?}");
    }
    drop(group);
    up.wait_for("action seed, which could not be killed, is gone");
    project.wait_ps(|ps| service(ps, "api")["actions"][0]["running"].is_null());
    let again = project.devstack(["do", "api", "seed"]).start();
    eventually("it to run again", || {
        let alive = project.alive();
        alive.iter().any(|one| one.command.contains("sleep 1236")).then_some(())
    });
    up.end();
    assert_eq!(again.wait_code(), 143);
    project.finish();
}

#[test]
fn down_names_the_process_of_an_action() {
    let Some((project, up, seed, group, pid)) = frozen_action() else { return };
    let down = project.devstack(["down"]).run().expect_code(1);
    let said = format!("api: action seed cannot be killed: sleep 1236 (pid {pid}) is frozen");
    assert!(down.stderr.contains(&said), "{down:?}");
    assert_eq!((up.wait_code(), seed.wait_code()), (1, 1));
    drop(group);
    project.finish();
}

#[test]
fn the_second_ctrl_c_ends_with_1_for_an_action_too() {
    let Some((project, up, seed, group, pid)) = frozen_action() else { return };
    up.interrupt();
    up.wait_for("stopping: Ctrl-C");
    up.interrupt();
    assert_eq!((up.wait_code(), seed.wait_code()), (1, 1));
    up.wait_for(&format!("(pid {pid}) is frozen by its cgroup"));
    drop(group);
    project.finish();
}
