use std::path::PathBuf;
use std::time::Duration;

use super::{
    Cause, CommandLine, DisplayPath, Message, Name, Phase, Plan, ProcessExit, RunId, signal_name,
};
use serde::{Deserialize, Serialize};

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
        to: Phase,
        /// Why.
        cause: Cause,
        /// The run it is about, if any.
        run: Option<RunId>,
    },
    /// The main process of a run exited.
    Ended {
        run: RunId,
        exit: ProcessExit,
        /// Whether the exit was neither requested nor successful.
        unexpected: bool,
    },
    /// A watched file changed and its watch command started.
    BuildStarted {
        command: CommandLine,
        /// The file.
        path: PathBuf,
    },
    /// A watch command exited with code 0.
    Built {
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
    /// An action of a service started.
    ActionStarted { action: Name },
    /// An action of a service has ended, and nothing of it is left that can be killed.
    ActionEnded {
        action: Name,
        /// How it exited, or why it did not start or cannot be killed.
        exit: Result<ProcessExit, Message>,
        /// Why it was ended, as a fragment; `None`: it exited by itself.
        cause: Option<String>,
        /// How long it took.
        took: Duration,
        /// Names of processes that it left behind, which were killed.
        left: Vec<String>,
    },
    /// A note for the user that changes no phase.
    Note(Message),
    /// The debugger of a run is listening; where to attach, as a fragment.
    DebuggerListening(String),
    /// Startup is over: everything requested is ready, done or failed. Repeated once everything is
    /// up, if something was not ready in time or failed.
    Settled {
        /// Whether nothing failed.
        well: bool,
    },
    /// A service that was removed from the configuration has exited and is dropped.
    ServiceRemoved,
    /// The configuration was applied, with these changes.
    Applied(Plan),
    /// Nothing runs, and nothing starts on its own; what the stack does now, as a fragment.
    NothingRuns(String),
    /// The stack is shutting down; why, as a fragment.
    ShuttingDown(String),
}

/// An event in JSON: one line of `GET /v1/events`. Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    /// Number of the event in its stack, from 1 without gaps.
    pub number: u64,
    /// When: RFC 3339 in UTC with milliseconds; equals `since` of the reported phase.
    pub at: String,
    /// The service it is about; `None`: the whole stack.
    pub service: Option<Name>,
    /// What happened.
    #[serde(flatten)]
    pub what: EventViewKind,
    /// Why, or a description, as a fragment.
    pub cause: String,
}

/// What happened, in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum EventViewKind {
    /// A service changed its phase, or the cause or run within the same phase.
    Phase {
        /// The previous phase; `None` for a new service.
        from: Option<Phase>,
        to: Phase,
        /// The run it is about, if any.
        run: Option<RunId>,
    },
    /// The main process of a run exited.
    Ended {
        run: RunId,
        exit: ProcessExit,
        /// Whether the exit was neither requested nor successful.
        unexpected: bool,
    },
    /// A watched file changed and its watch command started.
    BuildStarted {
        command: String,
        /// The file.
        path: String,
    },
    /// A watch command exited with code 0.
    Built {
        command: String,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// A watched file changed and the main process was sent a signal.
    Signalled {
        /// The signal without `SIG`, or its number if it has no name.
        signal: String,
        /// The file.
        path: String,
    },
    /// An action of a service started.
    ActionStarted { action: Name },
    /// An action of a service has ended, and nothing of it is left that can be killed.
    ActionEnded {
        action: Name,
        /// How it exited; `None`: it did not start or cannot be killed.
        exit: Option<ProcessExit>,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// A note for the user that changes no phase.
    Note {
        /// The note.
        message: Message,
    },
    /// A debugger can attach.
    Attachable,
    /// Startup is over: everything requested is ready, done or failed.
    Settled {
        /// Whether nothing failed.
        well: bool,
    },
    /// A removed service has exited; later snapshots do not contain it.
    Gone,
    /// The configuration was applied.
    Applied {
        /// The changes, and the services that keep running.
        #[serde(flatten)]
        plan: Plan,
    },
    /// Nothing runs, and nothing starts on its own.
    NothingRuns,
    /// The stack is shutting down.
    ShuttingDown,
}

impl EventView {
    /// Creates the view of an event with its number and time.
    pub fn new(number: u64, at: String, event: &Event) -> EventView {
        let service = event.service.clone();
        EventView {
            number,
            at,
            service,
            what: EventViewKind::of(&event.what),
            cause: cause(&event.what),
        }
    }
}

impl EventViewKind {
    fn of(what: &EventKind) -> EventViewKind {
        match what {
            EventKind::Phase { from, to, run, cause: _ } => {
                EventViewKind::Phase { from: *from, to: *to, run: *run }
            }
            EventKind::Ended { run, exit, unexpected } => {
                EventViewKind::Ended { run: *run, exit: *exit, unexpected: *unexpected }
            }
            EventKind::BuildStarted { command, path } => EventViewKind::BuildStarted {
                command: command.line(),
                path: path.to_string_lossy().into_owned(),
            },
            EventKind::Built { command, took } => {
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                EventViewKind::Built { command: command.line(), took_ms }
            }
            EventKind::Signalled { signal, path } => {
                let name = signal_name(*signal).map_or_else(|| signal.to_string(), str::to_owned);
                EventViewKind::Signalled { signal: name, path: path.to_string_lossy().into_owned() }
            }
            EventKind::ActionStarted { action } => {
                EventViewKind::ActionStarted { action: action.clone() }
            }
            EventKind::ActionEnded { action, exit, took, .. } => EventViewKind::ActionEnded {
                action: action.clone(),
                exit: exit.as_ref().ok().copied(),
                took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            },
            EventKind::Note(message) => EventViewKind::Note { message: message.clone() },
            EventKind::DebuggerListening(_) => EventViewKind::Attachable,
            EventKind::Settled { well } => EventViewKind::Settled { well: *well },
            EventKind::ServiceRemoved => EventViewKind::Gone,
            EventKind::Applied(plan) => EventViewKind::Applied { plan: plan.clone() },
            EventKind::NothingRuns(_) => EventViewKind::NothingRuns,
            EventKind::ShuttingDown(_) => EventViewKind::ShuttingDown,
        }
    }
}

fn cause(what: &EventKind) -> String {
    match what {
        EventKind::Phase { cause, .. } => cause.to_string(),
        EventKind::Ended { exit, .. } => exit.to_string(),
        EventKind::BuildStarted { path, .. } | EventKind::Signalled { path, .. } => {
            format!("{} changed", DisplayPath(path))
        }
        EventKind::Built { .. } => "exited with code 0".to_owned(),
        EventKind::ActionStarted { .. } => "requested".to_owned(),
        EventKind::ActionEnded { exit: Err(why), .. } => why.text.clone(),
        EventKind::ActionEnded { exit: Ok(exit), cause: None, .. } => exit.to_string(),
        EventKind::ActionEnded { exit: Ok(exit), cause: Some(cause), .. } => {
            format!("{exit}: {cause}")
        }
        EventKind::Note(message) => message.text.clone(),
        EventKind::DebuggerListening(place) => place.clone(),
        EventKind::Settled { well: true } => "all requested services are ready or done".to_owned(),
        EventKind::Settled { well: false } => {
            "all requested services are ready, done or failed".to_owned()
        }
        EventKind::ServiceRemoved => "removed from the configuration".to_owned(),
        EventKind::Applied(_) => "the configuration changed".to_owned(),
        EventKind::NothingRuns(what) => what.clone(),
        EventKind::ShuttingDown(why) => why.clone(),
    }
}
