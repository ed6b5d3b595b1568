//! Orphans of the command of `run`, which has no keeper. On Linux they become children of this process;
//! elsewhere they go to init and cannot be found.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::left_alone::is_left_alone;
use crate::sys::{process, signal, wait};

/// How long orphans may take to exit after TERM.
const GRACE: Duration = Duration::from_secs(1);
/// How long SIGKILL may take: what survives longer is stuck in the kernel.
const LIMIT: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub struct CommandOrphans {
    /// Children that this process had before the command: the guard, and those of a shell that
    /// became devstack through `exec`.
    before: BTreeSet<u32>,
    reported: Option<Instant>,
}

impl CommandOrphans {
    /// Must be called just before the command is started.
    pub fn before_start() -> CommandOrphans {
        CommandOrphans { before: children().collect(), reported: None }
    }

    /// Terminates the orphans of a command that is reaped. Returns how many there were.
    pub fn terminate(&mut self) -> usize {
        self.reported = Some(Instant::now());
        let mut count = 0;
        for pid in self.adopted() {
            count += usize::from(process::process_stat(pid).is_some_and(|p| !p.zombie));
            for number in [libc::SIGTERM, libc::SIGCONT] {
                process::signal_checked(pid, number, |p| p.parent == std::process::id());
            }
        }
        count
    }

    /// Waits for the orphans to exit, kills the rest and reaps all. Must be called when nothing of
    /// the stack runs any more. Returns the pids that survived.
    pub async fn kill_remaining(mut self) -> Vec<u32> {
        if self.reported.is_none() {
            self.terminate();
        }
        let reported = self.reported.unwrap_or_else(Instant::now);
        let began = Instant::now();
        while self.reap_or_kill(reported.elapsed() >= GRACE) {
            if began.elapsed() >= LIMIT {
                return self.adopted().collect();
            }
            tokio::time::sleep(AGAIN).await;
        }
        Vec::new()
    }

    /// Reaps exited orphans, and kills the others if `kill` is set. True if there were any: an
    /// orphan that exits may hand its children to this process.
    fn reap_or_kill(&self, kill: bool) -> bool {
        let mut some = false;
        for pid in self.adopted() {
            some = true;
            if wait::reap(pid).is_none() && kill {
                if leads_own_group(pid) {
                    signal::kill_group(pid, libc::SIGKILL);
                }
                signal::kill(pid, libc::SIGKILL);
            }
        }
        some
    }

    fn adopted(&self) -> impl Iterator<Item = u32> {
        children().filter(|pid| {
            !self.before.contains(pid) && !self.is_keeper(*pid) && !is_left_alone(*pid)
        })
    }

    /// Keepers, children once the guard is killed, stay in its session and exit on their own.
    fn is_keeper(&self, pid: u32) -> bool {
        let session = signal::session_of(pid);
        session > 0 && self.before.contains(&session.cast_unsigned())
    }
}

fn children() -> impl Iterator<Item = u32> {
    process::children(std::process::id()).into_iter()
}

fn leads_own_group(pid: u32) -> bool {
    signal::group_of(pid) == pid.cast_signed()
}
