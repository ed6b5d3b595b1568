use crate::model::{ListenAddress, Message, RunId};

/// What a probe found about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The run. A report about an earlier run must be ignored.
    pub run: RunId,
    /// What was found.
    pub what: Finding,
}

/// What probes can find about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// All readiness probes succeeded; what they saw. The last readiness finding.
    Held(String),
    /// Why the run is not ready yet. Reported whenever that changes.
    Failing(String),
    /// Another process is listening on a port of the service. Once per port.
    Foreign(u16, Message),
    /// The run has listened on other ports for a while, but not on this one. Once per port.
    Elsewhere {
        /// The assigned port.
        given: u16,
        /// Where the run listens, on assigned ports too.
        actual: Vec<ListenAddress>,
    },
    /// Where the run listens, as far as probes checked. Reported once, right before `Ready`.
    Listens(Vec<ListenAddress>),
    /// Everywhere the run listens, scanned after it was ready.
    Surveyed {
        /// All addresses, sorted.
        listening: Vec<ListenAddress>,
        /// The first scan; what is missing may still appear and is scanned for again.
        early: bool,
    },
    /// As many rounds of health probes failed as configured, and why. Once until `Healthy`.
    Unwell(String),
    /// Health probes succeed again.
    Well,
    /// The debugger is listening. Reported once.
    Attachable,
    /// A note that changes nothing: a stop command failed, or a limit of devstack prevents probing
    /// (reported once).
    Note(Message),
}
