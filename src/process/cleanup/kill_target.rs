use std::cell::Cell;
use std::time::{Duration, Instant};

use super::process_identity::ProcessIdentity;
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

    /// Returns its pid.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Sends the signal if this is still the same process and `still_holds`. True when it was sent.
    fn signal(&self, number: i32, guilty: impl Fn(u32) -> bool) -> bool {
        let sent = Cell::new(false);
        // The process is pinned before it is checked, so the one checked gets the signal.
        process::signal_checked(self.0.pid, number, |process| {
            let same = process.born == self.0.born && !process.zombie;
            sent.set(same && guilty(self.0.pid));
            sent.get()
        });
        sent.get()
    }
}

/// Ends these processes while `still_holds` is true for them: TERM to all, then KILL to those that
/// still hold the resource after `grace`. Each signal is sent only if the pid still means the same
/// process and it `still_holds`. Blocks.
pub fn kill_holders(
    suspects: &[KillTarget],
    grace: Duration,
    guilty: impl Fn(u32) -> bool,
) -> Vec<KillOutcome> {
    let asked: Vec<bool> = suspects
        .iter()
        .map(|suspect| {
            let sent = suspect.signal(libc::SIGTERM, &guilty);
            if sent {
                // A stopped process would not handle TERM.
                suspect.signal(libc::SIGCONT, |_| true);
            }
            sent
        })
        .collect();
    let chosen = |flags: &[bool]| -> Vec<KillTarget> {
        let all = suspects.iter().zip(flags);
        all.filter(|(_, chosen)| **chosen).map(|(suspect, _)| *suspect).collect()
    };
    wait_for_end(&chosen(&asked), grace);
    let killed: Vec<bool> = suspects
        .iter()
        .zip(&asked)
        .map(|(suspect, asked)| *asked && suspect.signal(libc::SIGKILL, &guilty))
        .collect();
    wait_for_end(&chosen(&killed), KILL_TIMEOUT);
    let outcome = |(at, suspect): (usize, &KillTarget)| match (asked[at], killed[at]) {
        (false, _) if suspect.0.is_alive() => KillOutcome::AlreadyReleased,
        (false, _) => KillOutcome::AlreadyGone,
        (true, true) if suspect.0.is_alive() => KillOutcome::Alive,
        (true, true) => KillOutcome::Killed,
        (true, false) if suspect.0.is_alive() => KillOutcome::Released,
        (true, false) => KillOutcome::Terminated,
    };
    suspects.iter().enumerate().map(outcome).collect()
}

fn wait_for_end(suspects: &[KillTarget], limit: Duration) {
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let alive = suspects.iter().filter(|suspect| suspect.0.is_alive());
        let alive: Vec<u32> = alive.map(KillTarget::pid).collect();
        if left.is_zero() || alive.is_empty() {
            return;
        }
        process::wait_any_exit(&alive, left);
    }
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
    fn the_polite_end_by_term_and_the_stopped_hear_it() {
        let one = shell("echo up; exec sleep 1000");
        let two = shell("echo up; kill -STOP $$; exec sleep 1000");
        let suspects = [suspect(&one), suspect(&two)];
        assert_eq!(kill_holders(&suspects, LONG, |_| true), [KillOutcome::Terminated; 2]);
        assert_eq!((end(one), end(two)), (Some(libc::SIGTERM), Some(libc::SIGTERM)));
        assert_eq!(kill_holders(&suspects, LONG, |_| true), [KillOutcome::AlreadyGone; 2]);
    }

    #[test]
    fn who_is_not_the_same_or_not_guilty_is_left_alone() {
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
    fn who_lets_go_in_time_is_not_killed_and_who_does_not_is() {
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
