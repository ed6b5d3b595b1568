//! What processes print arrives, and nothing waits for it in vain.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use devstack::model::{CommandLine, OutputStream, ProcessExit};
use devstack::process::OutputSink;
use tokio::sync::Notify;

use crate::alone::alone;
use crate::lab::lab;

#[test]
fn nothing_printed_is_lost() {
    alone(|| {
        lab(async |mut lab| {
            let script =
                "head -c 3000000 /dev/zero >&2 & head -c 5000000 /dev/zero; wait; printf end";
            let started = lab.script(script);
            assert_eq!(lab.whole(started.run).await, ProcessExit::Code(0));
            assert_eq!(started.heard.sizes(), (5_000_003, 3_000_000));
            assert!(started.heard.out().ends_with("end"));
            assert_eq!(started.heard.closed(), 1);
            lab.finish().await;
        })
    });
}

/// Throws stdout away and rings at the first byte of stderr.
struct Bell(Arc<Notify>);

impl OutputSink for Bell {
    fn push(&mut self, stream: OutputStream, _: &[u8]) {
        if stream == OutputStream::Stderr {
            self.0.notify_one();
        }
    }
    fn closed(&mut self, _exit: Option<ProcessExit>) {}
}

#[test]
fn a_flood_holds_up_nothing_else() {
    alone(|| {
        lab(async |mut lab| {
            let flood = lab.launch(CommandLine::Shell("yes & exec yes".to_owned()));
            let floods = [(); 2].map(|()| lab.start_with(&flood, Bell(Arc::default())));
            let heard = Arc::new(Notify::new());
            let both = lab.launch(CommandLine::Shell("yes & echo up >&2; wait".to_owned()));
            let (run, handle) = lab.start_with(&both, Bell(heard.clone()));
            crate::lab::soon(heard.notified()).await;
            let quiet = lab.script("echo up; exit 5");
            assert_eq!(lab.whole(quiet.run).await, ProcessExit::Code(5));
            handle.stop(libc::SIGTERM);
            lab.spawned(run).await;
            assert_eq!(lab.whole_end(run).await, ProcessExit::Signal(libc::SIGTERM));
            for (run, handle) in floods {
                handle.kill();
                lab.spawned(run).await;
                assert_eq!(lab.whole_end(run).await, ProcessExit::Signal(libc::SIGKILL));
            }
            lab.finish().await;
        })
    });
}

#[test]
fn a_stranger_with_the_pipe_does_not_hold_the_end() {
    alone(|| {
        lab(async |mut lab| {
            let started = lab.script("echo up; exec sleep 1000");
            let pid = lab.spawned(started.run).await;
            started.heard.lines(1).await;
            let path = format!("/proc/{pid}/fd/1");
            let mut held = fs::File::options().write(true).open(path).expect("it is our process");
            started.handle.stop(libc::SIGTERM);
            assert_eq!(lab.exited(started.run).await, ProcessExit::Signal(libc::SIGTERM));
            lab.emptied(started.run).await;
            assert_eq!(started.heard.closed(), 1);
            assert!(held.write_all(b"x").is_err(), "our end is closed");
            lab.finish().await;
        })
    });
}

#[test]
fn a_sink_that_panics_does_no_harm() {
    struct Bad;
    impl OutputSink for Bad {
        fn push(&mut self, _: OutputStream, _: &[u8]) {
            panic!("on purpose");
        }
        fn closed(&mut self, _exit: Option<ProcessExit>) {}
    }
    alone(|| {
        lab(async |mut lab| {
            let launch = lab.launch(CommandLine::Shell("echo x; echo y; exit 4".to_owned()));
            let (run, _leash) = lab.start_with(&launch, Bad);
            assert_eq!(lab.whole(run).await, ProcessExit::Code(4));
            lab.finish().await;
        })
    });
}
