//! Kills what listens on a port: `devstack ports N --kill`, and the answer `kill` at startup.

use std::time::Duration;

use serde::Serialize;

use crate::model::{Message, MessageClass};
use crate::ports::{
    self, PortAvailability, PortHolder, check_killable, explain_held, holders_of_port,
};
use crate::process::{KillOutcome, KillTarget, kill_holders};
use crate::text::join;

/// How long a process may take to exit after TERM; the default grace period of services.
const GRACE: Duration = Duration::from_secs(5);

/// The listeners of a port at the time they were found. They may be killed.
pub(crate) struct KillCandidates {
    port: u16,
    list: Vec<(KillTarget, PortHolder)>,
    /// A better way to stop them, if there is one.
    pub instead: Option<String>,
}

/// Result of killing the listeners of a port.
#[derive(Debug, Serialize)]
pub(crate) struct KillResult {
    port: u16,
    /// The killed processes, each with the signal that ended it: `TERM` or `KILL`.
    ended: Vec<KilledProcess>,
    /// Whether the port is available now.
    pub free: bool,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct KilledProcess {
    pid: u32,
    holder: String,
    signal: &'static str,
}

/// Finds what listens on `port`.
///
/// # Errors
/// It must not be killed.
pub(crate) fn find_candidates(port: u16) -> Result<KillCandidates, Message> {
    let holders = holders_of_port(port);
    let instead = check_killable(port, &holders, &ports::own_ancestry())?;
    let known = |holder: PortHolder| Some((KillTarget::of(holder.pid?)?, holder));
    let list = holders.into_iter().filter_map(known).collect();
    Ok(KillCandidates { port, list, instead })
}

impl KillCandidates {
    /// Whether nothing is listening.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Describes the processes, for a prompt.
    pub fn describe(&self) -> String {
        join(self.list.iter().map(|(_, holder)| holder), " and ")
    }

    /// Kills the processes, then checks whether the port is free. Blocks for up to seven seconds.
    pub fn kill(self) -> KillResult {
        let port = self.port;
        let suspects: Vec<KillTarget> = self.list.iter().map(|(suspect, _)| *suspect).collect();
        // Checks again that each process still listens, because pids are reused.
        let found = kill_holders(&suspects, GRACE, |pid| ports::listens(pid, port));
        let mut outcome = KillResult { port, ended: Vec::new(), free: false, notes: Vec::new() };
        for ((suspect, holder), eviction) in self.list.iter().zip(found) {
            outcome.take(suspect.pid(), holder, eviction);
        }
        outcome.look();
        outcome
    }
}

impl KillResult {
    fn take(&mut self, pid: u32, holder: &PortHolder, eviction: KillOutcome) {
        let status = holder.to_string();
        let mut ended =
            |signal| self.ended.push(KilledProcess { pid, holder: status.clone(), signal });
        let note = match eviction {
            KillOutcome::Terminated => return ended("TERM"),
            KillOutcome::Killed => return ended("KILL"),
            KillOutcome::AlreadyGone => "had already exited",
            KillOutcome::AlreadyReleased => "is no longer listening there and was left alone",
            KillOutcome::Released => {
                "got TERM and is no longer listening there, but has not exited yet"
            }
            KillOutcome::Alive => "did not exit after TERM and KILL; it is stuck in the kernel",
        };
        self.notes.push(format!("{status} {note}"));
    }

    /// Checks whether the port is available, and if not, notes why.
    fn look(&mut self) {
        let port = self.port;
        self.free = match ports::availability(port, ports::BindScope::Everywhere) {
            PortAvailability::Free => true,
            PortAvailability::InUse => {
                let holders = holders_of_port(port);
                let again = if self.ended.is_empty() { "" } else { "; something restarts it" };
                self.notes.push(format!("port {port} {}{again}", explain_held(&holders)));
                false
            }
            // Free, even if this user may not bind it.
            PortAvailability::Denied => holders_of_port(port).is_empty(),
            PortAvailability::Failed(error) => {
                self.notes.push(format!("cannot check port {port}: {error}"));
                false
            }
        };
    }

    pub fn lines(&self) -> Vec<String> {
        let ended = self.ended.iter().map(|KilledProcess { holder, signal, .. }| match *signal {
            "KILL" => format!("killed {holder}: it did not exit within 5s after TERM"),
            _ => format!("terminated {holder}"),
        });
        let free = self.free.then(|| format!("port {} is free", self.port));
        ended.chain(self.notes.iter().cloned()).chain(free).collect()
    }

    pub fn failure(&self) -> Option<Message> {
        let text = format!("port {} is still in use", self.port);
        let help = format!("find what is using it with `devstack ports {}`", self.port);
        (!self.free).then(|| Message::new(MessageClass::Port, text).help(help))
    }
}
