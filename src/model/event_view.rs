use serde::{Deserialize, Serialize};

use super::{Event, Exit, Happening, Message, Name, Phase, Plan, Run, Shown, signal_name};

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
    pub what: What,
    /// Why, or a description, as a fragment.
    pub cause: String,
}

/// What happened, in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// A service changed its phase, or the cause or run within the same phase.
    Phase {
        /// The previous phase; `None` for a new service.
        from: Option<Phase>,
        /// The new phase.
        to: Phase,
        /// The run it is about, if any.
        run: Option<Run>,
    },
    /// The main process of a run exited.
    Ended {
        /// The run.
        run: Run,
        /// How it exited.
        exit: Exit,
        /// Whether the exit was neither requested nor successful.
        unexpected: bool,
    },
    /// A watched file changed and its watch command started.
    BuildStarted {
        /// The command.
        command: String,
        /// The file.
        path: String,
    },
    /// A watch command exited with code 0.
    Built {
        /// The command.
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
    /// The stack is shutting down.
    ShuttingDown,
}

impl EventView {
    /// Creates the view of an event with its number and time.
    pub fn new(number: u64, at: String, event: &Event) -> EventView {
        let service = event.service.clone();
        EventView { number, at, service, what: What::of(&event.what), cause: cause(&event.what) }
    }
}

impl What {
    fn of(what: &Happening) -> What {
        match what {
            Happening::Phase { from, to, run, cause: _ } => {
                What::Phase { from: *from, to: *to, run: *run }
            }
            Happening::Ended { run, exit, unexpected } => {
                What::Ended { run: *run, exit: *exit, unexpected: *unexpected }
            }
            Happening::BuildStarted { command, path } => What::BuildStarted {
                command: command.line(),
                path: path.to_string_lossy().into_owned(),
            },
            Happening::Built { command, took } => {
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                What::Built { command: command.line(), took_ms }
            }
            Happening::Signalled { signal, path } => {
                let name = signal_name(*signal).map_or_else(|| signal.to_string(), str::to_owned);
                What::Signalled { signal: name, path: path.to_string_lossy().into_owned() }
            }
            Happening::Note(message) => What::Note { message: message.clone() },
            Happening::Attachable(_) => What::Attachable,
            Happening::Settled { well } => What::Settled { well: *well },
            Happening::Gone => What::Gone,
            Happening::Applied(plan) => What::Applied { plan: plan.clone() },
            Happening::ShuttingDown(_) => What::ShuttingDown,
        }
    }
}

fn cause(what: &Happening) -> String {
    match what {
        Happening::Phase { cause, .. } => cause.to_string(),
        Happening::Ended { exit, .. } => exit.to_string(),
        Happening::BuildStarted { path, .. } | Happening::Signalled { path, .. } => {
            format!("{} changed", Shown(path))
        }
        Happening::Built { .. } => "exited with code 0".to_owned(),
        Happening::Note(message) => message.text.clone(),
        Happening::Attachable(place) => place.clone(),
        Happening::Settled { well: true } => "all requested services are ready or done".to_owned(),
        Happening::Settled { well: false } => {
            "all requested services are ready, done or failed".to_owned()
        }
        Happening::Gone => "removed from the configuration".to_owned(),
        Happening::Applied(_) => "the configuration changed".to_owned(),
        Happening::ShuttingDown(why) => why.clone(),
    }
}
