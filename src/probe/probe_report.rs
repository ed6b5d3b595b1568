use tokio::sync::mpsc;

use crate::model::{ListenAddress, Message, RunId};
use crate::ports::PortHolder;

/// What a probe found about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// The run. A report about an earlier run must be ignored.
    pub run: RunId,
    /// What was found.
    pub what: ProbeFinding,
}

/// What probes can find about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeFinding {
    /// All readiness probes succeeded; what they saw. The last readiness finding.
    Ready(String),
    /// Why the run is not ready yet. Reported whenever that changes.
    Failed(String),
    /// Another process is listening on a port of the service. Once per port.
    ForeignListener(u16, Box<PortHolder>, Message),
    /// The run has listened on other ports for a while, but not on this one. Once per port.
    WrongPort {
        /// The assigned port.
        given: u16,
        /// Where the run listens, on assigned ports too.
        actual: Vec<ListenAddress>,
    },
    /// Where the run listens, as far as probes checked. Reported once, right before `Ready`.
    ListeningOn(Vec<ListenAddress>),
    /// Everywhere the run listens, scanned after it was ready.
    Scanned {
        /// All addresses, sorted.
        listening: Vec<ListenAddress>,
        /// The first scan; what is missing may still appear and is scanned for again.
        early: bool,
    },
    /// As many rounds of health probes failed as configured, and why. Once until `Healthy`.
    Unhealthy(String),
    /// Health probes succeed again.
    Healthy,
    /// The run printed this line, which only programs do that reload themselves.
    ReloadsItself(String),
    /// The debugger is listening. Reported once.
    DebuggerListening,
    /// A note that changes nothing: a stop command failed, or a limit of devstack prevents probing
    /// (reported once).
    Note(Message),
}

/// Sends what the probes of one run find.
pub(super) struct ProbeReporter {
    pub run: RunId,
    pub reports: mpsc::UnboundedSender<ProbeReport>,
}

impl ProbeReporter {
    pub fn send(&self, what: ProbeFinding) {
        // The receiver is dropped when the stack shuts down.
        let _ = self.reports.send(ProbeReport { run: self.run, what });
    }
}
