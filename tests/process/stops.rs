//! Stops by a command instead of a signal.

use std::sync::mpsc::{Receiver, channel};

use devstack::model::{CommandLine, Message, MessageClass, ProcessExit};

use crate::alone::alone;
use crate::lab::{Heard, Lab, Started, lab};
use crate::pinned::Pinned;

/// Lets a script stop a run; returns what it prints, and the report if it fails.
fn stop_by(lab: &Lab, started: &Started, script: &str) -> (Heard, Receiver<Message>) {
    let (tell, told) = channel();
    let heard = Heard::default();
    let words = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let launch = lab.launch(CommandLine::exec(words));
    let tell = move |message| tell.send(message).expect("somebody waits");
    lab.processes.stop_with_command(&started.handle, &launch, libc::SIGINT, heard.clone(), tell);
    (heard, told)
}

/// A service that is up and ignores no signal.
async fn up(lab: &mut Lab) -> Started {
    let started = lab.script("echo up; exec sleep 1000");
    lab.spawned(started.run).await;
    started.heard.lines(1).await;
    started
}

#[test]
fn a_command_stops_the_main_process() {
    alone(|| {
        lab(async |mut lab| {
            let started = up(&mut lab).await;
            // Before the command may have ended it.
            let main = started.handle.tree_pids()[0];
            let (heard, told) = stop_by(&lab, &started, "echo stops $MAINPID; kill -QUIT $MAINPID");
            assert_eq!(heard.lines(1).await, [format!("stops {main}")]);
            assert_eq!(lab.exited(started.run).await, ProcessExit::Signal(libc::SIGQUIT));
            assert!(lab.emptied(started.run).await.is_empty());
            assert_eq!((heard.closed(), told.try_iter().count()), (1, 0));
            lab.finish().await;
        })
    });
}

#[test]
fn what_is_left_after_a_command_gets_time_and_is_nobodys_fault() {
    alone(|| {
        lab(async |mut lab| {
            // The child in the group works on for longer than leftovers of a crash may.
            let child =
                "trap 'sleep 1; echo done; exit' TERM; echo up; while :; do sleep 0.1; done";
            let started = lab.script(&format!("sh -c \"{child}\" & exec sleep 1000"));
            lab.spawned(started.run).await;
            started.heard.lines(1).await;
            stop_by(&lab, &started, "kill -KILL $MAINPID");
            assert_eq!(lab.exited(started.run).await, ProcessExit::Signal(libc::SIGKILL));
            assert!(lab.emptied(started.run).await.is_empty());
            assert_eq!(started.heard.out(), "up\ndone\n");
            lab.finish().await;
        })
    });
}

#[test]
fn a_failed_command_is_reported_and_the_signal_is_sent() {
    alone(|| {
        lab(async |mut lab| {
            for (script, text) in
                [("exit 3", "failed (exit 3)"), ("kill -9 $$", "failed (SIGKILL)")]
            {
                let started = up(&mut lab).await;
                let (_, told) = stop_by(&lab, &started, script);
                assert_eq!(lab.whole_end(started.run).await, ProcessExit::Signal(libc::SIGINT));
                let message = told.recv().expect("it is told");
                assert_eq!(message.class, MessageClass::StopTimeout);
                assert!(message.text.contains(text), "{message}");
                assert!(message.text.ends_with("sending SIGINT instead"), "{message}");
            }
            let started = up(&mut lab).await;
            let (tell, told) = channel();
            let launch = lab.launch(CommandLine::exec(vec!["no-such-program".to_owned()]));
            let tell = move |message| tell.send(message).expect("somebody waits");
            let (handle, sink) = (&started.handle, Heard::default());
            lab.processes.stop_with_command(handle, &launch, libc::SIGTERM, sink, tell);
            assert_eq!(lab.whole_end(started.run).await, ProcessExit::Signal(libc::SIGTERM));
            assert!(told.recv().expect("it is told").text.contains("could not start"));
            lab.finish().await;
        })
    });
}

#[test]
fn the_run_is_not_over_before_its_stop_command() {
    alone(|| {
        lab(async |mut lab| {
            let started = up(&mut lab).await;
            let script = "kill $MAINPID; sleep 0.3; echo last";
            let (heard, told) = stop_by(&lab, &started, script);
            // Once is enough.
            let (second, _) = stop_by(&lab, &started, "echo second");
            assert_eq!(lab.exited(started.run).await, ProcessExit::Signal(libc::SIGTERM));
            lab.emptied(started.run).await;
            assert_eq!((heard.out().as_str(), heard.closed()), ("last\n", 1));
            assert_eq!((second.out().as_str(), told.try_iter().count()), ("", 0));
            lab.finish().await;
        })
    });
}

#[test]
fn a_kill_ends_the_stop_command_with_all_it_started() {
    alone(|| {
        lab(async |mut lab| {
            let started = up(&mut lab).await;
            let script = "trap '' TERM; setsid sh -c 'echo $$; exec sleep 1000' & wait";
            let (heard, told) = stop_by(&lab, &started, script);
            let hidden = Pinned::new(heard.lines(1).await[0].parse().expect("a pid"));
            started.handle.kill();
            assert_eq!(lab.exited(started.run).await, ProcessExit::Signal(libc::SIGKILL));
            lab.emptied(started.run).await;
            assert!(hidden.ends_within(std::time::Duration::ZERO));
            assert_eq!(told.try_iter().count(), 0);
            lab.finish().await;
        })
    });
}
