//! Processes that hide in six ways, and everything of devstack killed at once, in every order, with and without
//! `.devstack`: the next command leaves nothing, and no stranger is hurt.

#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::support::{
    RunningProgram, SeededRng, Signal, TestProject, eventually, guard, misbehaving, signal_all,
};

/// How often; `DEVSTACK_ESCAPES=200` for a proof.
const ROUNDS: usize = 4;

/// A group of its own, a double fork, an emptied environment, closed descriptors, an ignored SIGHUP, and Python.
const ESCAPES: &str = r#"
    [services.plain]
    command = "{misbehave} run & exec {misbehave} run"
    [services.away]
    command = ["{misbehave}", "tree", "plain", "setsid", "double"]
    [services.bare]
    command = ["{misbehave}", "tree", "setsid", "double", "--clear-env", "--ignore-term"]
    [services.closed]
    command = "(setsid sh -c 'exec >&- 2>&- </dev/null; exec {misbehave} run' &) ; exec {misbehave} run"
    [services.nohup]
    command = "nohup {misbehave} run > /dev/null 2>&1 & exec {misbehave} run"
    [services.python]
    command = ["python3", "-c", """
import os, subprocess
subprocess.Popen(["{misbehave}", "run"], start_new_session=True, env={})
os.execv("{misbehave}", ["{misbehave}", "run"])"""]
    "#;
/// How many processes of the fixture they are.
const ALL: usize = 2 + 4 + 3 + 2 + 2 + 2;

#[test]
fn nothing_is_left_after_the_next_command_and_no_stranger_is_hurt() {
    let rounds = std::env::var("DEVSTACK_ESCAPES").ok().and_then(|text| text.parse().ok());
    let mut dice = SeededRng::new(14);
    let (mut clean, mut story) = (0, String::new());
    let rounds = rounds.unwrap_or(ROUNDS);
    for round in 0..rounds {
        let project = TestProject::new();
        let stranger = project.misbehave(["run"]).start();
        stranger.wait_for("ready");
        project.configure(ESCAPES);
        let up = project.devstack(["up"]).start();
        eventually("all of them", || (misbehaving(&project).len() == ALL + 1).then_some(()));
        // At any moment of their first seconds.
        std::thread::park_timeout(Duration::from_millis(dice.below(2_000) as u64));
        let order = kill(&up, round % 4);
        up.wait_exit();
        let rest = left_after(&project, Duration::from_secs(1));
        clean += usize::from(rest == 0);
        if round % 2 == 0 {
            std::fs::remove_dir_all(project.path(".devstack")).expect("it is there");
        }
        match dice.below(2) {
            0 => {
                project.devstack(["down"]).run();
            }
            _ => {
                let again = project.devstack(["up"]).start();
                again.wait_for("is up");
                again.end();
            }
        }
        let now: Vec<u32> = misbehaving(&project).iter().map(|one| one.pid).collect();
        let _ = writeln!(story, "{round}: {order}, {rest} left before, {} after", now.len() - 1);
        assert_eq!(now, [stranger.pid()], "{story}");
        drop(stranger);
        project.finish();
    }
    println!("{story}nothing left within a second in {clean} of {rounds} rounds");
}

/// Kills supervisor and guard, one right after the other or both stopped first.
fn kill(up: &RunningProgram, way: usize) -> &'static str {
    let guard = guard(up);
    let both = [up.pid(), guard];
    match way {
        0 => {
            signal_all(&both, Signal::KILL);
            "devstack, guard"
        }
        1 => {
            signal_all(&[guard, up.pid()], Signal::KILL);
            "guard, devstack"
        }
        2 => {
            up.stop();
            signal_all(&[guard], Signal::STOP);
            signal_all(&[guard, up.pid()], Signal::KILL);
            "guard, devstack, stopped"
        }
        _ => {
            up.stop();
            signal_all(&[guard], Signal::STOP);
            signal_all(&both, Signal::KILL);
            "devstack, guard, stopped"
        }
    }
}

/// How many are left besides the stranger, at most so long after.
fn left_after(project: &TestProject, limit: Duration) -> usize {
    let begin = Instant::now();
    loop {
        let left = misbehaving(project).len() - 1;
        if left == 0 || begin.elapsed() >= limit {
            return left;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
