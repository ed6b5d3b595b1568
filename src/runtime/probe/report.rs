use crate::model::{Address, Message, Run};

/// What probing saw of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The run. A report about another than the current one means nothing.
    pub run: Run,
    /// What was seen.
    pub what: Finding,
}

/// What can be seen of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Each probe has held; what the last attempts saw. The last report of a run, and given once.
    Held(String),
    /// Why it is not ready yet; given whenever that changes.
    Failing(String),
    /// Somebody else listens on a port where the service should. Given once for a port.
    Foreign(u16, Message),
    /// Nothing listens on the port that it was given, and for a while it has listened elsewhere. Given once
    /// for a port.
    Elsewhere {
        /// The port that it was given.
        given: u16,
        /// Where its processes listen, with what else they were given.
        actual: Vec<Address>,
    },
    /// Where the run listens, as far as readiness is about it. Given once, right before `Held`.
    Listens(Vec<Address>),
    /// Where the run listens: all of it, looked at after it was ready.
    Surveyed {
        /// Every address, in their order.
        listening: Vec<Address>,
        /// Whether it was the first look: what is missing may still come, and is looked for again.
        early: bool,
    },
    /// Health probes failed in so many rounds in a row as the user asked for; why. Given once, until `Well`.
    Unwell(String),
    /// Health probes hold again.
    Well,
    /// Its debugger listens. Given once.
    Attachable,
    /// Something to know about the run that changes nothing: a limit of devstack keeps it from probing (given
    /// once), or a stop command failed.
    Note(Message),
}
