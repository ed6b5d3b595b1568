use std::path::PathBuf;
use std::time::Duration;

use super::{Cause, Command, Exit, Message, Name, Phase, Plan, Run};

/// Something that happened, numbered by the feed that carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The service it is about; `None` for the whole stack.
    pub service: Option<Name>,
    /// What happened.
    pub what: Happening,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A service changed its phase.
    Phase {
        /// The phase it was in before; `None` when it is new.
        from: Option<Phase>,
        /// The phase it is in now.
        to: Phase,
        /// Why.
        cause: Cause,
        /// The run it is about, if any.
        run: Option<Run>,
    },
    /// The main process of a run ended.
    Ended {
        /// The run.
        run: Run,
        /// How.
        exit: Exit,
        /// Whether it was neither asked for nor a success code.
        unexpected: bool,
    },
    /// A watched file changed, and the command of the watch was started.
    BuildStarted {
        /// The command.
        command: Command,
        /// The file.
        path: PathBuf,
    },
    /// The command of a watch ended with code 0.
    Built {
        /// The command.
        command: Command,
        /// How long it took.
        took: Duration,
    },
    /// A watched file changed, and the main process got a signal.
    Signalled {
        /// The number of the signal.
        signal: i32,
        /// The file.
        path: PathBuf,
    },
    /// Something people should know that changes no phase.
    Note(Message),
    /// The debugger of a run listens: where to attach, as a fragment.
    Attachable(String),
    /// The whole stack is up: everything that was asked for is ready or done, or has failed.
    Settled {
        /// Whether nothing failed.
        well: bool,
    },
    /// A service that is no longer in the configuration has ended, and is forgotten.
    Gone,
    /// The configuration was applied; what that changes.
    Applied(Plan),
    /// Everything is being stopped; why, as a fragment.
    ShuttingDown(String),
}
