//! What the command of `run` leaves behind. The command is no run: it belongs to the user's terminal, so it has
//! no keeper, and what it leaves becomes a child of this process, which adopts orphans on Linux. Elsewhere
//! orphans go to the system and cannot be known; nothing here finds them then.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{platform, reap};

/// How long they may take to end after they were asked to.
const GRACE: Duration = Duration::from_secs(1);
/// How long SIGKILL may take: what does not end by then is stuck in the kernel.
const LIMIT: Duration = Duration::from_secs(3);
/// How often to look, while waiting for either.
const AGAIN: Duration = Duration::from_millis(5);

/// The orphans of one command.
#[derive(Debug)]
pub struct Orphans {
    /// Children of this process that were there before: the guard, and whatever a shell left that became
    /// devstack by `exec`. None of them is the command's.
    before: BTreeSet<u32>,
    /// When they were asked to end.
    told: Option<Instant>,
}

impl Orphans {
    /// To be called just before the command is started.
    pub fn before_start() -> Orphans {
        Orphans { before: children().collect(), told: None }
    }

    /// Reaps those that have ended, while the command, whose pid this is, still runs. A command may leave
    /// thousands of them.
    pub fn bury_dead(&self, command: Option<u32>) {
        let dead = |pid: &u32| platform::look(*pid).is_some_and(|p| p.zombie);
        for pid in self
            .adopted()
            .filter(|pid| Some(*pid) != command && !leads_own_group(*pid))
            .filter(dead)
        {
            reap::bury(pid);
        }
    }

    /// The command has ended and is reaped: asks what it left to end. How many there were.
    pub fn tell_to_end(&mut self) -> usize {
        self.told = Some(Instant::now());
        let mut count = 0;
        for pid in self.adopted() {
            count += usize::from(platform::look(pid).is_some_and(|p| !p.zombie));
            for signal in [libc::SIGTERM, libc::SIGCONT] {
                platform::signal_checked(pid, signal, |p| p.parent == std::process::id());
            }
        }
        count
    }

    /// Waits until they have ended, kills those that do not, and reaps them all. To be called when nothing of
    /// the stack runs any more. Those that are left all the same: nothing, if all is well.
    pub async fn end(mut self) -> Vec<u32> {
        if self.told.is_none() {
            self.tell_to_end();
        }
        let told = self.told.unwrap_or_else(Instant::now);
        let began = Instant::now();
        while self.sweep(told.elapsed() >= GRACE) {
            if began.elapsed() >= LIMIT {
                return self.adopted().collect();
            }
            tokio::time::sleep(AGAIN).await;
        }
        Vec::new()
    }

    /// Reaps the dead, and kills the others if it is time. Whether there are any: one that is gone may have
    /// handed its own children to this process.
    fn sweep(&self, kill: bool) -> bool {
        let mut some = false;
        for pid in self.adopted() {
            some = true;
            if reap::bury(pid).is_none() && kill {
                if leads_own_group(pid) {
                    // SAFETY: numbers only. The leader is a child that is not reaped, so the group is its own.
                    unsafe { libc::kill(-pid.cast_signed(), libc::SIGKILL) };
                }
                platform::kill_one(pid);
            }
        }
        some
    }

    fn adopted(&self) -> impl Iterator<Item = u32> {
        children().filter(|pid| !self.before.contains(pid) && !self.is_keeper(*pid))
    }

    /// Keepers become children when the guard is killed. They stay in its session, and end by themselves.
    fn is_keeper(&self, pid: u32) -> bool {
        // SAFETY: a number.
        let session = unsafe { libc::getsid(pid.cast_signed()) };
        session > 0 && self.before.contains(&session.cast_unsigned())
    }
}

fn children() -> impl Iterator<Item = u32> {
    platform::children(std::process::id()).into_iter()
}

/// Also true of the commands of probes, which are reaped by those who started them.
fn leads_own_group(pid: u32) -> bool {
    // SAFETY: a number.
    unsafe { libc::getpgid(pid.cast_signed()) == pid.cast_signed() }
}
