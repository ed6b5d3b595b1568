use serde::{Deserialize, Serialize};

use super::{Event, Exit, Happening, Message, Name, Phase, Plan, Run, Shown, signal_name};

/// An event as programs read it: one line of `GET /v1/events`. Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    /// Counts the events of a stack from 1, without a gap.
    pub number: u64,
    /// When: RFC 3339 in UTC with milliseconds. Equal to `since` of a service in the phase that this event tells.
    pub at: String,
    /// The service it is about; `None` for the whole stack.
    pub service: Option<Name>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// Why, or what is to be said of it, as a fragment.
    pub cause: String,
}

/// What happened, as programs read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// A service changed its phase, or the cause or the run that it is in the same phase for.
    Phase {
        /// The phase it was in before; `None` when it is new.
        from: Option<Phase>,
        /// The phase it is in now.
        to: Phase,
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
        command: String,
        /// The file.
        path: String,
    },
    /// The command of a watch ended with code 0.
    Built {
        /// The command.
        command: String,
        /// How long it took.
        took_ms: u64,
    },
    /// A watched file changed, and the main process got a signal.
    Signalled {
        /// The signal without `SIG`, or its number where it has no name.
        signal: String,
        /// The file.
        path: String,
    },
    /// Something people should know that changes no phase.
    Note {
        /// It.
        message: Message,
    },
    /// A debugger can attach.
    Attachable,
    /// The start is over: everything that was asked for is ready or done, or has failed.
    Settled {
        /// Whether nothing failed.
        well: bool,
    },
    /// A service that is no longer in the configuration has ended; it is in no snapshot from now on.
    Gone,
    /// The configuration was applied; what that changes.
    Applied {
        /// The changes, and what runs on.
        #[serde(flatten)]
        plan: Plan,
    },
    /// Everything is being stopped.
    ShuttingDown,
}

impl EventView {
    /// An event with its number and its time.
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
        Happening::Built { .. } => "ended with exit 0".to_owned(),
        Happening::Note(message) => message.text.clone(),
        Happening::Attachable(place) => place.clone(),
        Happening::Settled { well: true } => "all that was asked for is ready or done".to_owned(),
        Happening::Settled { well: false } => {
            "all that was asked for is ready or done, or has failed".to_owned()
        }
        Happening::Gone => "no longer in the configuration".to_owned(),
        Happening::Applied(_) => "the configuration changed".to_owned(),
        Happening::ShuttingDown(why) => why.clone(),
    }
}
