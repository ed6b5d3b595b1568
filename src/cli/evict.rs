//! Ending who listens on a port: `devstack ports N --kill`, and the answer `kill` at the start.

use std::time::Duration;

use serde::Serialize;

use crate::model::{Class, Message};
use crate::ports::{self, Availability, Holder, Verdict, explain_held, holders, verdict};
use crate::runtime::process::{Eviction, Suspect, evict};

/// How long a process may take to end after TERM, as services may unless they say otherwise.
const GRACE: Duration = Duration::from_secs(5);

/// What there is to end on a port.
pub(super) enum Case {
    /// Nobody listens.
    Nobody,
    /// These do, and may be ended.
    Guilty(Suspects),
    /// The same, but the text says a better way.
    Unwise(Suspects, String),
    /// Those who do may not be ended.
    Refused(Message),
}

/// The listeners of a port, as they were when they were looked at.
pub(super) struct Suspects {
    port: u16,
    list: Vec<(Suspect, Holder)>,
}

/// What came of ending the listeners of a port.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    port: u16,
    /// Who was ended, and how: `TERM`, `KILL`.
    ended: Vec<Ended>,
    /// Whether the port can be had now.
    pub free: bool,
    /// What else people should know.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Ended {
    pid: u32,
    holder: String,
    signal: &'static str,
}

/// Looks who listens on `port` and whether they may be ended.
pub(super) fn investigate(port: u16) -> Case {
    let holders = holders(port);
    if holders.is_empty() {
        return Case::Nobody;
    }
    let suspects = |pids: Vec<u32>| {
        let list =
            holders.iter().filter(|holder| holder.pid.is_some_and(|pid| pids.contains(&pid)));
        let known = |holder: &Holder| Some((Suspect::of(holder.pid?)?, holder.clone()));
        Suspects { port, list: list.filter_map(known).collect() }
    };
    match verdict(port, &holders, &ports::own_line()) {
        Verdict::Allowed(pids) => Case::Guilty(suspects(pids)),
        Verdict::Unwise(pids, remedy) => Case::Unwise(suspects(pids), remedy),
        Verdict::Refused(message) => Case::Refused(message),
    }
}

impl Suspects {
    /// Who they are, for a question.
    pub fn said(&self) -> String {
        let all: Vec<String> = self.list.iter().map(|(_, holder)| holder.to_string()).collect();
        all.join(" and ")
    }

    /// Ends them, and looks whether the port is free then. Blocks for up to seven seconds.
    pub fn evict(self) -> Outcome {
        let port = self.port;
        let suspects: Vec<Suspect> = self.list.iter().map(|(suspect, _)| *suspect).collect();
        // Also a look at who has the number now: the listener itself is looked for again.
        let found = evict(&suspects, GRACE, |pid| ports::listens(pid, port));
        let mut outcome = Outcome { port, ended: Vec::new(), free: false, notes: Vec::new() };
        for ((suspect, holder), eviction) in self.list.iter().zip(found) {
            outcome.take(suspect.pid(), holder, eviction);
        }
        outcome.look();
        outcome
    }
}

impl Outcome {
    /// Of a port on which nobody listens.
    pub fn nobody(port: u16) -> Outcome {
        let mut outcome = Outcome { port, ended: Vec::new(), free: false, notes: Vec::new() };
        outcome.look();
        outcome
    }

    fn take(&mut self, pid: u32, holder: &Holder, eviction: Eviction) {
        let said = holder.to_string();
        let mut ended = |signal| self.ended.push(Ended { pid, holder: said.clone(), signal });
        let note = match eviction {
            Eviction::Ended => return ended("TERM"),
            Eviction::Killed => return ended("KILL"),
            Eviction::Gone => "had ended already",
            Eviction::Innocent => "does not listen there any more, and was left alone",
            Eviction::LetGo => "got TERM and does not listen there any more, and is still ending",
            Eviction::Alive => "got TERM and KILL and does not end; it is stuck in the kernel",
        };
        self.notes.push(format!("{said} {note}"));
    }

    /// Whether the port can be had, and if not, why.
    fn look(&mut self) {
        let port = self.port;
        self.free = match ports::probe(port) {
            Availability::Free => true,
            Availability::InUse => {
                let holders = holders(port);
                let again = if self.ended.is_empty() { "" } else { "; something starts it again" };
                self.notes.push(format!("port {port} {}{again}", explain_held(&holders)));
                false
            }
            // Who may bind it is another question.
            Availability::Denied => holders(port).is_empty(),
            Availability::Failed(error) => {
                self.notes.push(format!("port {port} cannot be checked: {error}"));
                false
            }
        };
    }

    /// What people should know, one thing a line.
    pub fn lines(&self) -> Vec<String> {
        let ended = self.ended.iter().map(|Ended { holder, signal, .. }| match *signal {
            "KILL" => format!("killed {holder}: it did not end within 5 s after TERM"),
            _ => format!("ended {holder}"),
        });
        let free = self.free.then(|| format!("port {} is free", self.port));
        ended.chain(self.notes.iter().cloned()).chain(free).collect()
    }

    /// Why the port is not free, when it is not.
    pub fn failure(&self) -> Option<Message> {
        let text = format!("port {} is not free", self.port);
        let help = format!("see who has it with `devstack ports {}`", self.port);
        (!self.free).then(|| Message::new(Class::Port, text).help(help))
    }
}
