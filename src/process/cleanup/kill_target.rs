use std::cell::Cell;
use std::time::{Duration, Instant};

use super::process_identity::{ProcessIdentity, wait_for_exits};
use crate::sys::process;

/// Only processes that are stuck in the kernel take longer than a moment.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// A process as it was when it was chosen. A later process with the same pid is not signalled.
#[derive(Debug, Clone, Copy)]
pub struct KillTarget(ProcessIdentity);

/// What happened to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillOutcome {
    /// It had exited before the first signal.
    AlreadyGone,
    /// It had released the resource before the first signal.
    AlreadyReleased,
    /// It exited after TERM.
    Terminated,
    /// It exited after KILL.
    Killed,
    /// It released the resource after TERM, but has not exited yet.
    Released,
    /// It survived both signals.
    Alive,
}

impl KillTarget {
    /// The process that has this pid now; `None` if there is none or it is a zombie.
    pub fn of(pid: u32) -> Option<KillTarget> {
        ProcessIdentity::of(pid).map(KillTarget)
    }

    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Sends the signal if this is still the same process and `still_holds`. True when it was sent.
    fn signal(&self, number: i32, still_holds: impl Fn(u32) -> bool) -> bool {
        let sent = Cell::new(false);
        // The process is pinned before it is checked, so the one checked gets the signal.
        process::signal_checked(self.0.pid, number, |process| {
            let same = process.born == self.0.born && !process.zombie;
            sent.set(same && still_holds(self.0.pid));
            sent.get()
        });
        sent.get()
    }
}

/// Ends these processes while `still_holds` is true for them: TERM to all, then KILL to those that
/// still hold the resource after `grace`. Each signal is sent only if the pid still means the same
/// process and it `still_holds`. Blocks.
pub fn kill_holders(
    targets: &[KillTarget],
    grace: Duration,
    still_holds: impl Fn(u32) -> bool,
) -> Vec<KillOutcome> {
    // The last signal that each got.
    let mut last: Vec<Option<i32>> = Vec::new();
    for target in targets {
        let sent = target.signal(libc::SIGTERM, &still_holds);
        if sent {
            // A stopped process would not handle TERM.
            target.signal(libc::SIGCONT, |_| true);
        }
        last.push(sent.then_some(libc::SIGTERM));
    }
    let wait = |last: &[Option<i32>], signal: i32, limit: Duration| {
        let got = targets.iter().zip(last).filter(|(_, last)| **last == Some(signal));
        wait_for_exits(got.map(|(target, _)| &target.0), Instant::now() + limit);
    };
    wait(&last, libc::SIGTERM, grace);
    for (target, last) in targets.iter().zip(&mut last).filter(|(_, last)| last.is_some()) {
        if target.signal(libc::SIGKILL, &still_holds) {
            *last = Some(libc::SIGKILL);
        }
    }
    wait(&last, libc::SIGKILL, KILL_TIMEOUT);
    let outcome = |(target, last): (&KillTarget, Option<i32>)| match (last, target.0.is_alive()) {
        (None, true) => KillOutcome::AlreadyReleased,
        (None, false) => KillOutcome::AlreadyGone,
        (Some(libc::SIGKILL), true) => KillOutcome::Alive,
        (Some(libc::SIGKILL), false) => KillOutcome::Killed,
        (Some(_), true) => KillOutcome::Released,
        (Some(_), false) => KillOutcome::Terminated,
    };
    targets.iter().zip(last).map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Longer than a loaded machine takes.
    const LONG: Duration = Duration::from_secs(30);

    /// Starts a shell and waits until it has printed that it is set up.
    fn shell(script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        let mut child =
            command.args(["-c", script]).stdout(Stdio::piped()).spawn().expect("sh exists");
        let stdout = child.stdout.as_mut().expect("piped");
        std::io::Read::read_exact(stdout, &mut [0; 3]).expect("shell prints");
        child
    }

    fn suspect(child: &Child) -> KillTarget {
        KillTarget::of(child.id()).expect("is alive")
    }

    fn end(mut child: Child) -> Option<i32> {
        child.wait().expect("our child").signal()
    }

    #[test]
    fn term_ends_running_and_stopped_processes() {
        let one = shell("echo up; exec sleep 1000");
        let two = shell("echo up; kill -STOP $$; exec sleep 1000");
        let suspects = [suspect(&one), suspect(&two)];
        assert_eq!(kill_holders(&suspects, LONG, |_| true), [KillOutcome::Terminated; 2]);
        assert_eq!((end(one), end(two)), (Some(libc::SIGTERM), Some(libc::SIGTERM)));
        assert_eq!(kill_holders(&suspects, LONG, |_| true), [KillOutcome::AlreadyGone; 2]);
    }

    #[test]
    fn another_process_and_one_that_holds_nothing_get_no_signal() {
        let mut child = shell("echo up; exec sleep 1000");
        let now = suspect(&child);
        let before = KillTarget(ProcessIdentity { born: now.0.born - 1, ..now.0 });
        let guilty = |_| panic!("must not check another process");
        assert_eq!(kill_holders(&[before], LONG, guilty), [KillOutcome::AlreadyGone]);
        assert_eq!(kill_holders(&[now], LONG, |_| false), [KillOutcome::AlreadyReleased]);
        assert_eq!(child.try_wait().expect("our child"), None);
        child.kill().expect("our child");
        end(child);
    }

    #[test]
    fn only_a_process_that_still_holds_the_resource_is_killed() {
        let script = "trap '' TERM; echo up; exec sleep 1000";
        let (honest, deaf) = (shell(script), shell(script));
        let suspects = [suspect(&honest), suspect(&deaf)];
        let looks = RefCell::new(0);
        let guilty = |pid: u32| {
            *looks.borrow_mut() += 1;
            pid == suspects[1].pid() || *looks.borrow() <= 2
        };
        assert_eq!(
            kill_holders(&suspects, Duration::from_millis(50), guilty),
            [KillOutcome::Released, KillOutcome::Killed]
        );
        assert_eq!(end(deaf), Some(libc::SIGKILL));
        let mut honest = honest;
        assert_eq!(honest.try_wait().expect("our child"), None);
        honest.kill().expect("our child");
        end(honest);
    }
}
