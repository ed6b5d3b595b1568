//! What a stack does once nothing runs and nothing starts on its own.

use super::failure_text;
use super::run_state::{RunState, ServiceOutcome};
use super::service_state::{DesiredState, ServiceState};
use super::{BlockedServices, Effect, Engine, WhenIdle};
use crate::model::{Event, EventKind, Message, Shortfall};

/// A stack in which nothing runs and nothing starts on its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdleStack {
    /// What it does now.
    pub step: IdleStep,
    rest: Rest,
}

/// What the stack does now that nothing runs and nothing starts on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdleStep {
    Exit,
    /// A change to a watched file or to the configuration may start something, or the user.
    Await {
        saves: bool,
        edits: bool,
        user: bool,
    },
}

/// What is left of a stack in which nothing runs and nothing starts on its own.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    short: Shortfall,
    /// Whether the user stopped something.
    stopped: bool,
    /// Whether a change to a watched file starts something.
    watches: bool,
    /// Whether a service has exited as if it were a task.
    exited: bool,
}

impl Engine {
    /// Exits when a shutdown is complete, or when nothing runs and nothing is waited for. Reports
    /// which of the two follows once nothing runs.
    pub(super) fn halt(&mut self, idle: Option<IdleStack>, effects: &mut Vec<Effect>) {
        let text = idle.map(IdleStack::text);
        if text != self.reported_idle
            && let Some(text) = &text
        {
            let what = EventKind::NothingRuns(text.clone());
            effects.push(Effect::Emit(Event { service: None, what }));
        }
        self.reported_idle = text;
        let code = match &self.shutdown {
            Some(ending) if !self.services.values().any(ServiceState::ends_yet) => {
                Some(ending.code)
            }
            Some(_) => None,
            None => idle.filter(|idle| idle.step == IdleStep::Exit).map(|idle| {
                let down = self.cautious_start && idle.rest.exited;
                i32::from(down || !idle.rest.short.is_none())
            }),
        };
        if let Some(code) = code.filter(|_| self.stack.is_some()) {
            self.halted = true;
            self.answer_remaining(effects);
            effects.push(Effect::Exit(code));
        }
    }

    /// Returns what follows now; `None` if something runs or starts on its own, and in a shutdown.
    pub(super) fn idle(&self, blocked: &BlockedServices) -> Option<IdleStack> {
        let rest = self.rest(blocked)?;
        let failed = !rest.short.is_none();
        let live_reload = self.stack.as_ref().is_some_and(|stack| stack.live_reload);
        let (saves, edits) = match self.when_idle {
            WhenIdle::KeepAlive => return None,
            WhenIdle::Exit => (false, false),
            WhenIdle::AwaitSave => (rest.watches, false),
            WhenIdle::AwaitChange => (rest.watches, live_reload && failed),
        };
        let step = match rest {
            // An edit does not start what only waits for what the user stopped.
            Rest { stopped: true, short, .. } => {
                IdleStep::Await { saves, edits: edits && short.failed > 0, user: true }
            }
            Rest { short: Shortfall { all: 0, .. }, .. } if self.applied_once => {
                IdleStep::Await { saves: false, edits: true, user: false }
            }
            Rest { .. } if saves || edits => IdleStep::Await { saves, edits, user: false },
            Rest { .. } => IdleStep::Exit,
        };
        Some(IdleStack { step, rest })
    }

    /// Adds to a failure how the service starts again. If the stack exits, it is with `up`.
    pub(super) fn with_way_back(&self, state: &ServiceState, message: Message) -> Message {
        let restart = failure_text::run_restart(&state.service.name);
        let help = match self.ends {
            true => message.help.replace(&restart, "run `devstack up`"),
            false => match self.restart_trigger(state) {
                Some(change) => message
                    .help
                    .replace(failure_text::FIX_IT, &format!("fix it; {change} restarts it, or")),
                None => return message,
            },
        };
        message.help(help)
    }

    /// Returns which changes start a service that has failed or is done.
    pub(super) fn restart_trigger(&self, state: &ServiceState) -> Option<String> {
        let follows = match self.when_idle {
            WhenIdle::Exit | WhenIdle::KeepAlive => false,
            WhenIdle::AwaitSave | WhenIdle::AwaitChange => true,
        };
        let edits = self.stack.as_ref().is_some_and(|stack| stack.live_reload);
        change(follows && !state.service.watch.is_empty(), follows && edits, "its config")
    }

    fn is_live(&self) -> bool {
        self.services.values().any(ServiceState::is_live)
    }

    /// Returns what is left if nothing runs and nothing starts on its own.
    fn rest(&self, blocked: &BlockedServices) -> Option<Rest> {
        if self.stack.is_none() || self.shutdown.is_some() || self.is_live() {
            return None;
        }
        let mut rest = Rest::default();
        for (name, state) in &self.services {
            match (&state.desired, &state.state) {
                (DesiredState::No, _) => continue,
                (DesiredState::Stopped, _) => {
                    rest.stopped = true;
                    continue;
                }
                (DesiredState::Yes(_), RunState::Finished(ServiceOutcome::Done(_))) => {
                    rest.exited |= !state.service.kind.is_task();
                }
                (DesiredState::Yes(_), RunState::Finished(ServiceOutcome::Failed(_))) => {
                    rest.short.failed += 1;
                }
                (DesiredState::Yes(_), RunState::Idle) if blocked.contains_key(name) => {
                    rest.short.all += 1;
                    rest.short.blocked += 1;
                    // Its own files do not help it.
                    continue;
                }
                // A client may wake it at any time.
                (DesiredState::Asleep(_), _) => return None,
                (DesiredState::Removed | DesiredState::Yes(_), _) => return None,
            }
            rest.short.all += 1;
            rest.watches |= !state.service.watch.is_empty();
        }
        Some(rest)
    }
}

impl IdleStack {
    /// Describes what follows, as the last line of the log.
    fn text(self) -> String {
        let IdleStack { step, rest } = self;
        let head = match rest.short {
            short if short.is_none() && (rest.stopped || rest.exited) => "nothing runs".to_owned(),
            Shortfall { all: 0, .. } => "nothing to run".to_owned(),
            short if short.is_none() => "everything is done".to_owned(),
            Shortfall { blocked: 0, .. } => format!("{} and nothing runs", rest.short),
            short => format!("{short}, and nothing runs"),
        };
        let IdleStep::Await { saves, edits, user } = step else {
            return format!("{head}: ending");
        };
        let user = user.then(|| "`devstack start`".to_owned());
        let change = change(saves, edits, "the configuration");
        let awaited: Vec<String> = user.into_iter().chain(change).collect();
        format!("{head}: waiting for {}", awaited.join(" or "))
    }
}

/// Names the changes that start something: to watched files, to a configuration.
fn change(saves: bool, edits: bool, configuration: &str) -> Option<String> {
    match (saves, edits) {
        (true, true) => Some(format!("a change to a watched file or to {configuration}")),
        (true, false) => Some("a change to a watched file".to_owned()),
        (false, true) => Some(format!("a change to {configuration}")),
        (false, false) => None,
    }
}
