//! Services with a terminal of their own.

use std::fs;

use devstack::model::{CommandLine, ProcessExit, TtyMode};

use crate::alone::alone;
use crate::lab::{Lab, children, eventually, lab};
use crate::sample::fds;

/// A place where everything gets a terminal.
fn terminal_lab<F: Future<Output = ()>>(body: impl FnOnce(Lab) -> F) {
    lab(|mut lab| {
        lab.tty = TtyMode::Yes;
        body(lab)
    });
}

/// Whether 0, 1, 2 are terminals, and which it has: of the script's session, and that it is in front.
const LOOK: &str = "for fd in 0 1 2; do test -t $fd && echo terminal $fd; done; tty; stty size; \
    echo $TERM; echo err >&2; ps -o tpgid= -p $$; echo $$; cat /proc/$$/status | grep -E 'SigBlk|SigIgn'";

#[test]
fn the_three_descriptors_are_the_terminal_of_the_session() {
    alone(|| {
        terminal_lab(async |mut lab| {
            lab.processes.resize(33, 101);
            let mut launch =
                lab.launch(CommandLine::exec(["/bin/sh", "-c", LOOK].map(str::to_owned).to_vec()));
            launch.env.insert("TERM", "vt100");
            let started = lab.start(&launch);
            assert_eq!(lab.whole(started.run).await, ProcessExit::Code(0));
            let out = started.heard.out();
            let lines: Vec<&str> = out.lines().collect();
            assert_eq!(lines[..3], ["terminal 0", "terminal 1", "terminal 2"]);
            assert!(lines[3].starts_with("/dev/pts/"), "{out}");
            assert_eq!(lines[4..7], ["33 101", "vt100", "err"]);
            assert_eq!(lines[7].trim(), lines[8], "it is in front: {out}");
            for line in &lines[9..] {
                assert!(line.ends_with("\t0000000000000000"), "{out}");
            }
            // As any terminal shows it.
            assert_eq!(out.matches("\r\n").count(), out.matches('\n').count(), "{out:?}");
            assert_eq!(started.heard.sizes().1, 0);
            lab.finish().await;
        })
    });
}

#[test]
fn auto_means_a_terminal_when_devstack_has_one() {
    alone(|| {
        lab(async |mut lab| {
            lab.tty = TtyMode::Auto;
            let script = "test -t 1 && echo terminal || echo none; echo ${TERM:-unset}";
            let words = ["/usr/bin/env", "-u", "TERM", "/bin/sh", "-c", script];
            let started =
                lab.start(&lab.launch(CommandLine::exec(words.map(str::to_owned).to_vec())));
            assert_eq!(lab.whole(started.run).await, ProcessExit::Code(0));
            assert_eq!(started.heard.out(), "none\nunset\n");
            lab.processes = lab.processes.with_terminal();
            let started = lab.script("test -t 1 && echo terminal; stty size");
            assert_eq!(lab.whole(started.run).await, ProcessExit::Code(0));
            assert_eq!(started.heard.out(), "terminal\r\n24 80\r\n");
            lab.finish().await;
        })
    });
}

#[test]
fn the_last_lines_are_not_lost() {
    alone(|| {
        terminal_lab(async |mut lab| {
            for round in 0..100 {
                // More than a terminal holds, by a leader that ends at once and by a child that outlives it.
                let script = if round % 2 == 0 {
                    "seq 1 2000; echo end"
                } else {
                    "trap '' HUP TERM; (seq 1 2000; echo end) & exit 0"
                };
                let started = lab.script(script);
                lab.spawned(started.run).await;
                assert_eq!(lab.whole_end(started.run).await, ProcessExit::Code(0));
                let out = started.heard.out();
                assert!(out.ends_with("1999\r\n2000\r\nend\r\n"), "round {round}: {}", out.len());
                assert_eq!(out.lines().count(), 2001);
            }
            lab.finish().await;
        })
    });
}

#[test]
fn a_new_size_reaches_the_program() {
    alone(|| {
        terminal_lab(async |mut lab| {
            let started = lab
                .script("trap 'stty size' WINCH; echo up; while :; do sleep 1000 & wait $!; done");
            lab.spawned(started.run).await;
            started.heard.lines(1).await;
            lab.processes.resize(40, 120);
            assert_eq!(started.heard.lines(2).await, ["up", "40 120"]);
            started.handle.stop(libc::SIGTERM);
            assert_eq!(lab.whole_end(started.run).await, ProcessExit::Signal(libc::SIGTERM));
            lab.finish().await;
        })
    });
}

#[test]
fn a_terminal_that_is_closed_and_opened_again_goes_on() {
    alone(|| {
        terminal_lab(async |mut lab| {
            let fifo = lab.dir.path().join("gate");
            assert!(std::process::Command::new("mkfifo").arg(&fifo).status().is_ok());
            let script = "echo up; exec 0</dev/null 1>/dev/null 2>/dev/null; read x < gate; \
                          echo again > /dev/tty; exec sleep 1000";
            let started = lab.script(script);
            let pid = lab.spawned(started.run).await;
            started.heard.lines(1).await;
            crate::lab::eventually(|| {
                fs::read_link(format!("/proc/{pid}/fd/1")).is_ok_and(|l| l.ends_with("null"))
            })
            .await;
            fs::write(&fifo, "go\n").expect("the service reads it");
            assert_eq!(started.heard.lines(2).await, ["up", "again"]);
            started.handle.stop(libc::SIGTERM);
            assert_eq!(lab.whole_end(started.run).await, ProcessExit::Signal(libc::SIGTERM));
            lab.finish().await;
        })
    });
}

#[test]
fn terminals_leave_no_descriptors() {
    alone(|| {
        terminal_lab(async |mut lab| {
            let first = lab.script("exit 0");
            lab.whole(first.run).await;
            drop(first);
            eventually(|| children(lab.guard).is_empty()).await;
            let before = (fds(std::process::id()), fds(lab.guard));
            for _ in 0..50 {
                let started = lab.script("echo up; exit 3");
                assert_eq!(lab.whole(started.run).await, ProcessExit::Code(3));
            }
            eventually(|| (fds(std::process::id()), fds(lab.guard)) == before).await;
            lab.finish().await;
        })
    });
}
