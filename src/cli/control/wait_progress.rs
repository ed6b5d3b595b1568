use std::collections::BTreeMap;

use crate::control::protocol::find_services;
use crate::model::{EventView, EventViewKind, Name, Phase, ServiceView, Snapshot, WaitCondition};
use crate::text::one_line;

/// Progress messages of `devstack wait`, once per change. The stack decides whether the condition
/// is met.
pub(crate) struct WaitProgress {
    /// As typed; empty for all requested services.
    services: Vec<String>,
    what: WaitCondition,
    seen: BTreeMap<Name, ServiceProgress>,
}

struct ServiceProgress {
    phase: Phase,
    why: String,
    /// The last line printed about it.
    status: Option<String>,
}

impl WaitProgress {
    pub fn new(services: &[String], what: WaitCondition) -> WaitProgress {
        WaitProgress { services: services.to_vec(), what, seen: BTreeMap::new() }
    }

    /// Takes a snapshot, at the start or after missed events; returns lines to print.
    pub fn start(&mut self, now: &Snapshot) -> Vec<String> {
        let mut before = std::mem::take(&mut self.seen);
        for view in self.meant(now) {
            let status = before.remove(&view.name).and_then(|seen| seen.status);
            let seen = ServiceProgress { phase: view.phase, why: why(view), status };
            self.seen.insert(view.name.clone(), seen);
        }
        self.changed_lines()
    }

    /// Takes an event; returns lines to print.
    pub fn handle_event(&mut self, event: &EventView) -> Vec<String> {
        let Some(name) = &event.service else { return Vec::new() };
        match &event.what {
            EventViewKind::Phase { to, .. } => {
                let (phase, why) = (*to, event.cause.clone());
                match self.seen.get_mut(name) {
                    Some(seen) => (seen.phase, seen.why) = (phase, why),
                    None if self.services.is_empty() => {
                        self.seen
                            .insert(name.clone(), ServiceProgress { phase, why, status: None });
                    }
                    None => {}
                }
            }
            EventViewKind::Attachable => {
                if let Some(seen) = self.seen.get_mut(name) {
                    seen.why = event.cause.clone();
                }
            }
            EventViewKind::Gone => drop(self.seen.remove(name)),
            EventViewKind::Ended { .. }
            | EventViewKind::BuildStarted { .. }
            | EventViewKind::Built { .. }
            | EventViewKind::Signalled { .. }
            | EventViewKind::ActionStarted { .. }
            | EventViewKind::ActionEnded { .. }
            | EventViewKind::Note { .. }
            | EventViewKind::Settled { .. }
            | EventViewKind::Applied { .. }
            | EventViewKind::NothingRuns
            | EventViewKind::ShuttingDown => {}
        }
        self.changed_lines()
    }

    /// Describes what is not true yet, one fragment per service.
    pub fn missing(&self, now: &Snapshot) -> Vec<String> {
        let counts = |view: &&ServiceView| {
            let open = !self.is_reached(view.phase) && !self.is_left_out(view.phase);
            // A task with a probe is ready before it has completed.
            open || (self.what == WaitCondition::Up
                && view.kind.is_task()
                && view.phase == Phase::Ready)
        };
        let missing = self.meant(now).into_iter().filter(counts);
        missing.map(|view| format!("{} ({})", view.name, state(view.phase, &why(view)))).collect()
    }

    /// Returns the services to wait for, or that may count if no names were given.
    fn meant<'a>(&self, now: &'a Snapshot) -> Vec<&'a ServiceView> {
        let found = self.services.iter().filter_map(|text| find_services(now, text).ok());
        let names: Vec<Name> = found.flatten().collect();
        let meant = |view: &&ServiceView| self.services.is_empty() || names.contains(&view.name);
        now.services.iter().filter(meant).collect()
    }

    fn changed_lines(&mut self) -> Vec<String> {
        let mut seen = std::mem::take(&mut self.seen);
        let lines = seen.iter_mut().filter_map(|(name, seen)| self.say(name, seen)).collect();
        self.seen = seen;
        lines
    }

    /// Returns a line about a service, if it is news.
    fn say(&self, name: &Name, seen: &mut ServiceProgress) -> Option<String> {
        if self.is_left_out(seen.phase) {
            return None;
        }
        let reached = self.is_reached(seen.phase);
        let line = match reached {
            true => format!("{name} is {}", seen.phase),
            false => format!("waiting for {name}: {}", state(seen.phase, &seen.why)),
        };
        let before = seen.status.replace(line.clone());
        // A condition that is true from the start is not reported.
        let news = before.as_ref() != Some(&line) && (before.is_some() || !reached);
        news.then(|| one_line(&line))
    }

    fn is_reached(&self, phase: Phase) -> bool {
        match self.what {
            WaitCondition::Up => matches!(phase, Phase::Ready | Phase::Done | Phase::Asleep),
            WaitCondition::Ready => matches!(phase, Phase::Ready | Phase::Done),
            WaitCondition::Completed => phase == Phase::Done,
            WaitCondition::Stopped => {
                use Phase::{Asleep, Blocked, Done, Failed, Idle};
                matches!(phase, Idle | Asleep | Blocked | Done | Failed)
            }
        }
    }

    /// Returns whether the service is neither requested nor named.
    fn is_left_out(&self, phase: Phase) -> bool {
        let all = self.services.is_empty() && self.what != WaitCondition::Stopped;
        all && phase == Phase::Idle
    }
}

fn why(view: &ServiceView) -> String {
    let attach =
        view.debug.as_ref().filter(|debug| debug.listening && view.phase == Phase::Starting);
    match attach {
        Some(debug) => format!(
            "attach {} at {}",
            debug.debugger.as_deref().unwrap_or("a debugger"),
            debug.attach
        ),
        None => view.cause.clone(),
    }
}

fn state(phase: Phase, why: &str) -> String {
    // The cause already names this phase.
    if phase == Phase::Waiting { why.to_owned() } else { format!("{phase}, {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::name;
    use crate::model::{Cause, Event, EventKind, ServiceKind, StackState};

    fn now(services: Vec<ServiceView>) -> Snapshot {
        Snapshot { services, state: StackState::Starting, ..crate::control::tests::snapshot() }
    }

    fn phase(service: &str, to: Phase, cause: Cause) -> EventView {
        let what = EventKind::Phase { from: None, to, cause, run: None };
        EventView::new(1, String::new(), &Event { service: Some(name(service)), what })
    }

    #[test]
    fn each_change_is_said_once_and_what_is_so_from_the_beginning_is_not() {
        let mut progress = WaitProgress::new(&[], WaitCondition::Up);
        let stack = now(vec![
            ServiceView::sample("api", Phase::Starting),
            ServiceView::sample("db", Phase::Ready),
            ServiceView::sample("spare", Phase::Idle),
        ]);
        assert_eq!(progress.start(&stack), ["waiting for api: starting, requested by `up`"]);
        assert_eq!(progress.start(&stack), [""; 0]);
        let probed = || Cause::ProbePassed("GET / returned 200".into());
        assert_eq!(progress.handle_event(&phase("api", Phase::Ready, probed())), ["api is ready"]);
        assert_eq!(progress.handle_event(&phase("api", Phase::Ready, probed())), [""; 0]);
        let waiting = phase("db", Phase::Waiting, Cause::WaitingForFiles);
        assert_eq!(
            progress.handle_event(&waiting),
            ["waiting for db: waiting for files to stop changing"]
        );
        let asked = phase("spare", Phase::Starting, Cause::Requested("start"));
        assert_eq!(progress.handle_event(&asked), ["waiting for spare: starting, start requested"]);
        // Stopped by the user, so it is no longer waited for.
        assert_eq!(
            progress.handle_event(&phase("spare", Phase::Idle, Cause::Requested("stop"))),
            [""; 0]
        );
    }

    #[test]
    fn only_what_was_named_is_said() {
        let mut progress = WaitProgress::new(&["api".into()], WaitCondition::Stopped);
        let stack = now(vec![
            ServiceView::sample("api", Phase::Ready),
            ServiceView::sample("db", Phase::Starting),
        ]);
        assert_eq!(progress.start(&stack), ["waiting for api: ready, requested by `up`"]);
        assert_eq!(progress.missing(&stack), ["api (ready, requested by `up`)"]);
        assert_eq!(progress.handle_event(&phase("db", Phase::Ready, Cause::NoProbe)), [""; 0]);
        let stopped = phase("api", Phase::Idle, Cause::Requested("stop"));
        assert_eq!(progress.handle_event(&stopped), ["api is idle"]);
    }

    #[test]
    fn a_service_prints_nothing_into_the_terminal() {
        let mut progress = WaitProgress::new(&[], WaitCondition::Up);
        progress.start(&now(vec![ServiceView::sample("api", Phase::Ready)]));
        let cause = Cause::HealthFailed("\x1b]0;title\x07".into());
        let status = progress.handle_event(&phase("api", Phase::Unhealthy, cause));
        assert_eq!(status, ["waiting for api: unhealthy, unhealthy: \\u{1b}]0;title\\u{7}"]);
    }

    #[test]
    fn a_task_that_is_ready_has_not_completed() {
        let progress = WaitProgress::new(&[], WaitCondition::Up);
        let task = ServiceView {
            kind: ServiceKind::Task.into(),
            ..ServiceView::sample("migrate", Phase::Ready)
        };
        assert_eq!(progress.missing(&now(vec![task])), ["migrate (ready, requested by `up`)"]);
    }
}
