use std::path::PathBuf;
use std::time::Duration;

use super::{Cause, CommandLine, Message, Name, Phase, Plan, ProcessExit, RunId};

/// Something that happened, numbered by the feed that carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The service it is about; `None`: the whole stack.
    pub service: Option<Name>,
    /// What happened.
    pub what: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A service changed its phase.
    Phase {
        /// The previous phase; `None` for a new service.
        from: Option<Phase>,
        /// The new phase.
        to: Phase,
        /// Why.
        cause: Cause,
        /// The run it is about, if any.
        run: Option<RunId>,
    },
    /// The main process of a run exited.
    Ended {
        /// The run.
        run: RunId,
        /// How it exited.
        exit: ProcessExit,
        /// Whether the exit was neither requested nor successful.
        unexpected: bool,
    },
    /// A watched file changed and its watch command started.
    BuildStarted {
        /// The command.
        command: CommandLine,
        /// The file.
        path: PathBuf,
    },
    /// A watch command exited with code 0.
    Built {
        /// The command.
        command: CommandLine,
        /// How long it took.
        took: Duration,
    },
    /// A watched file changed and the main process was sent a signal.
    Signalled {
        /// The number of the signal.
        signal: i32,
        /// The file.
        path: PathBuf,
    },
    /// A note for the user that changes no phase.
    Note(Message),
    /// The debugger of a run is listening; where to attach, as a fragment.
    DebuggerListening(String),
    /// Startup is over: everything requested is ready, done or failed.
    Settled {
        /// Whether nothing failed.
        well: bool,
    },
    /// A service that was removed from the configuration has exited and is dropped.
    ServiceRemoved,
    /// The configuration was applied, with these changes.
    Applied(Plan),
    /// The stack is shutting down; why, as a fragment.
    ShuttingDown(String),
}
