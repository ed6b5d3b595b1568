//! Whichever process is killed, nothing is left.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use crate::alone::{alone, plays, start_role};
use crate::keepers::per_run;
use crate::lab::{children, eventually, lab, soon};
use crate::pinned::Pinned;
use crate::sample::{TREE, parent_of, tree};

/// "Gone a second later" is the promise; a busy machine gets more before the test reports a hang,
/// and the promise itself is measured by `PROMPT`.
const PROMPT: Duration = Duration::from_secs(5);

/// Plays devstack in a process of its own: starts a tree, prints its pids, and what happens to it. With
/// something on stdin it ends in the regular way.
#[test]
fn supervisor() {
    if !plays("supervisor") {
        return;
    }
    lab(async |mut lab| {
        let (started, pids) = tree(&mut lab, &format!("trap '' TERM; {TREE}")).await;
        let main = pids[0].pid;
        let pids: Vec<String> = pids.iter().map(|p| p.pid.to_string()).collect();
        println!("\npids {} {} {}", lab.guard, parent_of(main), pids.join(" "));
        let exit = lab.exited(started.run).await;
        lab.emptied(started.run).await;
        println!("\nemptied {exit}");
        let guard = Pinned::try_new(lab.guard);
        let proved = lab.processes.shut_down().await;
        // It and the keepers are not waited for, and end by themselves.
        assert!(guard.is_none_or(|guard| guard.ends_within(PROMPT)));
        eventually(|| children(std::process::id()).is_empty()).await;
        println!("\nfinished {proved}");
    });
}

/// Starts the supervisor and its tree, kills the named processes, and waits until nothing is left.
fn after_killing(victims: &[&str]) {
    let mut child = start_role("kills::supervisor", "supervisor");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next = |word: &str| -> String {
        let found = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with(word));
        found.unwrap_or_else(|| panic!("the supervisor said no `{word}`"))
    };
    let told = next("pids ");
    let pids: Vec<Pinned> =
        told.split(' ').skip(1).map(|word| Pinned::new(word.parse().expect("a pid"))).collect();
    let supervisor = Pinned::new(child.id());
    for victim in victims {
        match *victim {
            "supervisor" => supervisor.kill(),
            "guard" => pids[0].kill(),
            "keeper" => pids[1].kill(),
            other => panic!("nobody is called {other}"),
        }
    }
    if !victims.contains(&"supervisor") {
        assert_eq!(next("emptied "), "emptied SIGKILL");
        assert_eq!(next("finished "), "finished true");
    }
    for pinned in &pids {
        assert!(pinned.ends_within(PROMPT), "process {} outlives {victims:?}", pinned.pid);
    }
    child.wait().expect("it is our child");
}

#[test]
fn nothing_outlives_a_killed_supervisor() {
    after_killing(&["supervisor"]);
}

#[test]
fn nothing_outlives_a_killed_guard() {
    after_killing(&["guard"]);
}

#[test]
fn nothing_outlives_a_killed_keeper() {
    after_killing(&["keeper"]);
}

/// Without keepers, what left its group can outlive both; the next devstack ends it (`sweeps`).
#[test]
fn nothing_outlives_supervisor_and_guard() {
    if per_run() {
        after_killing(&["supervisor", "guard"]);
        after_killing(&["guard", "supervisor"]);
    }
}

#[test]
fn nothing_outlives_supervisor_and_keeper() {
    if !per_run() {
        return;
    }
    after_killing(&["supervisor", "keeper"]);
    after_killing(&["keeper", "supervisor"]);
}

#[test]
fn nothing_outlives_guard_and_keeper() {
    after_killing(&["guard", "keeper"]);
    after_killing(&["keeper", "guard"]);
}

#[test]
fn a_lost_guard_is_noticed_and_nothing_more_is_started() {
    alone(|| {
        lab(async |mut lab| {
            let lost = lab.processes.guard_lost();
            Pinned::new(lab.guard).signal(libc::SIGKILL);
            soon(lost).await;
            let late = lab.script("exit 0");
            assert!(lab.refused(late.run).await.text.contains("guard"));
            assert!(lab.processes.shut_down().await);
        })
    });
}
