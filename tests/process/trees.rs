//! Whole trees end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use devstack::model::{CommandLine, ProcessExit};

use crate::alone::alone;
use crate::lab::{Lab, eventually, lab};
use crate::pinned::Pinned;
use crate::sample::{TREE, all_gone, becomes_sleep, parent_of, tree};

#[test]
fn a_stop_ends_the_whole_tree() {
    alone(|| {
        lab(async |mut lab| {
            let (started, pids) = tree(&mut lab, TREE).await;
            let mut known = started.handle.tree_pids();
            for pinned in &pids {
                assert!(known.contains(&pinned.pid), "{} is not in {known:?}", pinned.pid);
            }
            known.retain(|pid| pids.iter().all(|pinned| pinned.pid != *pid));
            assert!(known.len() <= 2, "strangers: {known:?}");
            started.handle.stop(libc::SIGTERM);
            assert_eq!(lab.exited(started.run).await, ProcessExit::Signal(libc::SIGTERM));
            assert!(lab.emptied(started.run).await.is_empty());
            all_gone(&pids);
            assert!(started.handle.tree_pids().is_empty());
            lab.finish().await;
        })
    });
}

#[test]
fn a_kill_ends_the_whole_tree() {
    alone(|| {
        lab(async |mut lab| {
            let (started, pids) = tree(&mut lab, &format!("trap '' TERM; {TREE}")).await;
            started.handle.kill();
            assert_eq!(lab.exited(started.run).await, ProcessExit::Signal(libc::SIGKILL));
            lab.emptied(started.run).await;
            all_gone(&pids);
            lab.finish().await;
        })
    });
}

#[test]
fn what_outlives_the_main_process_is_named_and_ended() {
    alone(|| {
        lab(async |mut lab| {
            // The main process dies alone: the signal is for it, not for its group.
            let (started, pids) = tree(&mut lab, TREE).await;
            let main = &pids[0];
            main.signal(libc::SIGKILL);
            assert_eq!(lab.exited(started.run).await, ProcessExit::Signal(libc::SIGKILL));
            let leftovers = lab.emptied(started.run).await;
            for pinned in pids.iter().filter(|p| p.pid != main.pid) {
                let found = leftovers.iter().find(|(pid, _)| *pid == pinned.pid);
                assert_eq!(found.map(|(_, name)| name.as_str()), Some("sleep"), "{leftovers:?}");
            }
            all_gone(&pids);
            lab.finish().await;
        })
    });
}

#[test]
fn leftovers_that_ignore_term_are_killed() {
    alone(|| {
        lab(async |mut lab| {
            let deaf = "trap '' TERM; setsid sh -c 'echo $$; exec sleep 1000' & read x < gate";
            assert!(
                std::process::Command::new("mkfifo")
                    .arg(lab.dir.path().join("gate"))
                    .status()
                    .is_ok()
            );
            let started = lab.script(deaf);
            lab.spawned(started.run).await;
            let left = Pinned::new(started.heard.lines(1).await[0].parse().expect("a pid"));
            becomes_sleep(left.pid).await;
            fs::write(lab.dir.path().join("gate"), "go\n").expect("the service reads it");
            assert_eq!(lab.exited(started.run).await, ProcessExit::Code(0));
            assert_eq!(lab.emptied(started.run).await, [(left.pid, "sleep".to_owned())]);
            all_gone(&[left]);
            lab.finish().await;
        })
    });
}

#[test]
fn a_stopped_process_can_be_stopped_for_good() {
    alone(|| {
        lab(async |mut lab| {
            let started = lab.script("echo up; kill -STOP $$; exec sleep 1000");
            lab.spawned(started.run).await;
            started.heard.lines(1).await;
            started.handle.stop(libc::SIGTERM);
            assert_eq!(lab.whole_end(started.run).await, ProcessExit::Signal(libc::SIGTERM));
            lab.finish().await;
        })
    });
}

#[test]
fn a_chain_of_forks_is_ended() {
    alone(|| {
        lab(async |mut lab| {
            // Each process starts its successor in a new session and exits: none lives for long.
            fs::write(
                lab.dir.path().join("hop"),
                "#!/bin/sh\necho $1\n[ $1 -gt 100000 ] || setsid ./hop $(($1 + 1)) &\n",
            )
            .expect("writable");
            fs::set_permissions(lab.dir.path().join("hop"), fs::Permissions::from_mode(0o755))
                .expect("ours");
            let started = lab.script("trap '' TERM; ./hop 1; exec sleep 1000");
            lab.spawned(started.run).await;
            started.heard.lines(20).await;
            started.handle.kill();
            assert_eq!(lab.whole_end(started.run).await, ProcessExit::Signal(libc::SIGKILL));
            let at_end = started.heard.out().len();
            lab.finish().await;
            assert_eq!(started.heard.out().len(), at_end);
        })
    });
}

#[test]
fn strangers_cannot_signal_guard_or_keeper_away() {
    alone(|| {
        lab(async |mut lab| {
            let started = lab.script("echo up; exec sleep 1000");
            let pid = lab.spawned(started.run).await;
            started.heard.lines(1).await;
            for process in [lab.guard, parent_of(pid)] {
                let pinned = Pinned::new(process);
                for signal in
                    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGTSTP]
                {
                    pinned.signal(signal);
                }
                for signal in [libc::SIGPIPE, libc::SIGALRM, libc::SIGUSR1, libc::SIGUSR2] {
                    pinned.signal(signal);
                }
            }
            started.handle.signal(libc::SIGUSR1);
            assert_eq!(lab.whole_end(started.run).await, ProcessExit::Signal(libc::SIGUSR1));
            lab.finish().await;
        })
    });
}

#[test]
fn finish_ends_what_still_runs() {
    alone(|| {
        lab(async |mut lab| {
            let (_started, pids) = tree(&mut lab, &format!("trap '' TERM; {TREE}")).await;
            lab.finish().await;
            all_gone(&pids);
        })
    });
}

/// As `su` does it through PAM: the mark is lost, and the session too.
#[test]
fn an_orphan_without_its_mark_ends_with_its_own_service_and_no_other() {
    alone(|| {
        lab(async |mut lab| {
            let leaves = "prlimit --locks=unlimited setsid -f sh -c 'echo $$; exec sleep 1000'";
            let start = |lab: &mut Lab, service: &str, script: &str| {
                let mut launch = lab.launch(CommandLine::Shell(script.to_owned()));
                launch.env.insert("DEVSTACK_SERVICE", service);
                lab.start(&launch)
            };
            let db = start(&mut lab, "db", &format!("{leaves}; exec sleep 1000"));
            let web = start(&mut lab, "web", "exec sleep 1000");
            lab.spawned(db.run).await;
            lab.spawned(web.run).await;
            let pid = db.heard.lines(1).await.remove(0).parse().expect("a pid");
            let orphan = Pinned::new(pid);
            eventually(|| parent_of(pid) == lab.guard || crate::keepers::per_run()).await;
            assert!(db.handle.tree_pids().contains(&pid) && !web.handle.tree_pids().contains(&pid));
            web.handle.stop(libc::SIGTERM);
            lab.whole_end(web.run).await;
            assert!(!orphan.ends_within(Duration::ZERO), "it ended with another service");
            db.handle.stop(libc::SIGTERM);
            lab.whole_end(db.run).await;
            assert!(orphan.ends_within(Duration::ZERO), "it outlives its service");
            lab.finish().await;
        });
    });
}
