use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Address, Exit, Message, Name, Run, Stack, Watched};

/// Everything the engine can be told: requests of people, and facts about the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// This is what the stack should be from now on.
    Apply {
        /// The new stack.
        stack: Arc<Stack>,
        /// What `up` was asked to start; `None`: everything with `autostart`.
        selection: Option<Selection>,
    },
    /// Start these, with what they depend on. Answered when all are ready or done.
    Start(Ticket, Vec<Name>),
    /// Stop these. Answered when nothing of them is left. Voids every restart asked for before.
    Stop(Ticket, Vec<Name>),
    /// Stop these if they run, then start them. Answered by runs that began after the request.
    Restart(Ticket, Vec<Name>),
    /// These were switched to debug mode by an apply before: start those that do not run. Answered when a debugger
    /// can attach to each.
    Debug(Ticket, Vec<Name>),
    /// These were switched back to run mode by an apply before. Answered when those that run are ready or done.
    Undebug(Ticket, Vec<Name>),
    /// Somebody waits for these, or for all that are asked for. Answered when it is so, or will not be any more.
    Wait(Ticket, Vec<Name>, Until),
    /// Whoever asked this has gone: there is nobody to answer.
    Forget(Ticket),
    /// Stop everything and end.
    Shutdown {
        /// Who wants an answer.
        ticket: Option<Ticket>,
        /// Why, as a fragment.
        why: String,
        /// The exit code of `up` that follows from it.
        code: i32,
        /// Polite or at once.
        haste: Haste,
    },
    /// These files changed; one of them for each watch.
    FilesChanged(BTreeMap<Watched, PathBuf>),
    /// Whether files go on changing after that. As long as they do, what a change restarts waits with its start, so
    /// that the start comes after all of them. Ends always, and soon.
    FilesChanging(bool),
    /// The command of a watch is over, and nothing of it is left: it ended with code 0, or why it did not.
    JobEnded(Job, Result<(), Message>),
    /// The main process of a run was started.
    Spawned(Run, u32),
    /// The main process of a run could not be started; nothing of it is left.
    NotSpawned(Run, Message),
    /// Every readiness probe of a run holds; what the last one saw.
    Held(Run, String),
    /// A readiness probe of a run does not hold; why.
    Failing(Run, String),
    /// Health probes of a run failed often enough in a row; why.
    Unwell(Run, String),
    /// Health probes of a run hold again.
    Well(Run),
    /// The debugger of a run listens.
    Attachable(Run),
    /// Somebody else listens on a port of a run that is not ready. Of a run whose spawn was ordered: it was not
    /// carried out.
    Robbed(Run, Message),
    /// What came of [`super::Effect::Examine`].
    Examined(Run, Excuse),
    /// Ports were chosen again: this is the stack with them, and whether each service that needed others can have
    /// them; why not.
    Placed {
        /// The stack with the new ports.
        stack: Arc<Stack>,
        /// Every service that [`super::Effect::Place`] was about.
        outcome: BTreeMap<Name, Result<(), Message>>,
    },
    /// Something to know about a run that changes nothing.
    Note(Run, Message),
    /// Where a run listens.
    Listens(Run, Vec<Address>),
    /// What is to be said of where a run listens; takes the place of what was said before.
    Remarks(Run, Vec<Message>),
    /// The main process of a run ended.
    Exited(Run, Exit),
    /// The process tree of a run is proved empty and its output is read to the end.
    Emptied(Run),
    /// The process, or the whole machine, was stopped for this long: no deadline counts that time.
    Slept(Duration),
    /// Nothing; time has passed.
    Tick,
}

/// Why a run that ended before it was ready is not to blame for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excuse {
    /// There is none.
    None,
    /// Somebody else has a port of it; who.
    Robbed(Message),
    /// devstack itself was in the way of a port, and is no longer; how.
    Unheld(Message),
}

/// What `up` was asked to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// These services, or all replicas of these.
    pub names: BTreeSet<Name>,
    /// And what they depend on.
    pub with_dependencies: bool,
}

/// How fast everything has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// Stop signals, dependents before dependencies, each with its grace.
    Polite,
    /// Kill everything now.
    Now,
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Services are ready, and tasks have completed.
    Up,
    /// Each is ready; a task that has completed counts.
    Ready,
    /// Each has ended as expected.
    Completed,
    /// Nothing of each runs, and nothing starts it by itself.
    Stopped,
}

/// Names a request that wants an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Names one execution of the command of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job(pub u64);

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.0)
    }
}
