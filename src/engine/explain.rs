//! Explains the state of a service to the user. Changes nothing.

use super::past::{PastEnd, Triggered};
use super::slot::{KillAt, Outcome, Slot, State, Time, Want};
use super::{Blocked, Engine};
use crate::model::{
    BlockedOn, Cause, Condition, Dependency, DisplayDuration, DisplayPath, FailingProbe,
    FileTrigger, HealthAction, HealthConfig, Message, Name, NextStep, PastRun, PortStatus,
    ServiceKind, WhyView,
};

impl Engine {
    /// Explains a service's state, without its log; `date` formats times. `None`: unknown service.
    pub fn explain(
        &self,
        now: Time,
        name: &Name,
        date: impl Fn(Time) -> String,
    ) -> Option<WhyView> {
        let slot = self.slots.get(name)?;
        let blocked = self.blocked();
        let (text, at) = self.next(slot, blocked.get(name));
        let until =
            |at: Time| u64::try_from(at.saturating_sub(now).as_millis()).unwrap_or(u64::MAX);
        Some(WhyView {
            version: 1,
            stack: self.stack.as_ref().map(|stack| stack.name.clone()).unwrap_or_default(),
            at: date(now),
            service: self.view(name, slot, &blocked, &date),
            next: NextStep { text, in_ms: at.map(until) },
            waits: self.waits(slot, &blocked),
            exits: slot.past.runs.iter().map(|end| past_run(end, &date)).collect(),
            probe: slot.failing_probe(),
            trigger: slot.past.trigger.as_ref().map(|trigger| triggered(trigger, &date)),
            ports: slot.port_facts(),
            log: Vec::new(),
        })
    }

    fn waits(&self, slot: &Slot, blocked: &Blocked) -> Vec<BlockedOn> {
        if self.ending.is_some() || !slot.wanted() || !matches!(slot.state, State::Idle) {
            return Vec::new();
        }
        let waited = |name: Name, condition: Option<Condition>| {
            let (phase, cause) = self.standing_of(self.slots.get(&name)?, blocked.get(&name));
            let cause = cause.to_string();
            Some(BlockedOn { service: name, condition, phase, cause })
        };
        let needs = self.needs(slot);
        if !needs.is_empty() {
            let all = needs.into_iter();
            return all.filter_map(|need| waited(need.service, Some(need.condition))).collect();
        }
        let other = self.former(slot).or_else(|| Some(self.port_in_the_way(slot)?.1));
        other.and_then(|name| waited(name, None)).into_iter().collect()
    }

    /// Returns what happens next without user action, and when.
    fn next(&self, slot: &Slot, blocked: Option<&Message>) -> (String, Option<Time>) {
        let ending = self.ending.is_some();
        match &slot.state {
            State::Idle | State::Over(_) | State::Backoff { .. } | State::Displaced { .. }
                if ending =>
            {
                ("nothing: the stack is stopping".to_owned(), None)
            }
            State::Idle => (self.next_of_idle(slot, blocked), None),
            State::Launching { .. } => ("its process is starting".to_owned(), None),
            State::Starting { ready_by, .. } => (slot.next_of_starting(), *ready_by),
            State::Late { .. } => {
                let text = format!("readiness is still probed every {}", interval(slot));
                (text, None)
            }
            State::Ready { .. } => (slot.next_of_ready(), None),
            State::Unwell { .. } => (slot.next_of_unwell(), None),
            State::Stopping { kill, .. } => {
                let again =
                    if slot.wanted() && !ending { "it restarts once stopped; " } else { "" };
                let (text, at) = killed(slot, *kill);
                (again.to_owned() + &text, at)
            }
            State::Draining { kill, .. } => match kill {
                KillAt::At(at) => ("remaining processes are killed".to_owned(), Some(*at)),
                KillAt::Held(_) | KillAt::Ordered | KillAt::Never => {
                    ("remaining processes are being terminated".to_owned(), None)
                }
            },
            State::Backoff { until, .. } => {
                (format!("attempt {}", slot.runs.saturating_add(1)), Some(*until))
            }
            State::Displaced { .. } => ("choosing another port".to_owned(), None),
            State::Over(Outcome::Done(_) | Outcome::Failed(_)) => (slot.armed(), None),
        }
    }

    fn next_of_idle(&self, slot: &Slot, blocked: Option<&Message>) -> String {
        let name = &slot.service.name;
        match &slot.want {
            Want::Removed => "nothing: removed from the configuration".to_owned(),
            Want::No | Want::Stopped => format!("nothing: run `devstack start {name}` to start it"),
            Want::Yes(_) if blocked.is_some() => format!(
                "nothing until its dependencies are fixed; it then starts automatically, or run `devstack restart {name}`"
            ),
            Want::Yes(_) => match self.needs(slot).as_slice() {
                [] => "it starts after that".to_owned(),
                needs => format!("it starts when {}", all_of(needs)),
            },
        }
    }
}

impl Slot {
    fn next_of_starting(&self) -> String {
        if self.awaits_debugger() {
            return "it continues once a debugger attaches".to_owned();
        }
        match (self.service.kind, self.service.ready.probes.is_empty()) {
            (ServiceKind::Task, true) => "nothing until it exits".to_owned(),
            (ServiceKind::Task | ServiceKind::Service, _) => {
                format!("readiness is probed every {}; times out", interval(self))
            }
        }
    }

    fn next_of_ready(&self) -> String {
        let name = &self.service.name;
        if self.is_debugged() {
            return format!(
                "nothing: it is being debugged; run `devstack restart {name}` to apply changes"
            );
        }
        let watched = match self.service.watch.is_empty() {
            true => "",
            false => "; watching files for changes",
        };
        match &self.service.health {
            Some(HealthConfig { interval, .. }) => {
                format!("health is probed every {}{watched}", DisplayDuration(*interval))
            }
            None => format!("nothing: it runs until it exits or is stopped{watched}"),
        }
    }

    fn next_of_unwell(&self) -> String {
        match &self.service.health {
            Some(HealthConfig { interval, action: HealthAction::Report, .. }) => {
                format!("health is still probed every {}", DisplayDuration(*interval))
            }
            Some(HealthConfig { action: HealthAction::Restart, .. }) => "it restarts".to_owned(),
            None => "nothing".to_owned(),
        }
    }

    /// What restarts a finished service.
    fn armed(&self) -> String {
        let name = &self.service.name;
        let saved = if self.service.watch.is_empty() { "" } else { "a watched file or to " };
        format!(
            "waiting: a change to {saved}its config restarts it, or run `devstack restart {name}`"
        )
    }

    fn failing_probe(&self) -> Option<FailingProbe> {
        let probe = |about: &str, text: &str| {
            Some(FailingProbe { probe: about.to_owned(), text: text.to_owned() })
        };
        match (&self.state, &self.failing) {
            (State::Unwell { message, .. }, _) => probe("health", &message.text),
            (State::Stopping { why: Cause::HealthFailed(why), .. }, _) => probe("health", why),
            (_, Some(failing)) => probe("ready", failing),
            (_, None) => None,
        }
    }

    fn port_facts(&self) -> Vec<PortStatus> {
        let listening = self.live_run().and(self.listening.as_ref());
        let listens = |number: u16| {
            let all = listening?.iter();
            Some(all.filter_map(|address| address.tcp()).any(|address| address.port() == number))
        };
        let facts = self.service.ports.iter().map(|port| PortStatus {
            name: port.name.clone(),
            wanted: port.wanted,
            given: port.number,
            pinned: port.pinned,
            moved: port.moved.clone(),
            listens: listens(port.number),
        });
        facts.collect()
    }
}

fn interval(slot: &Slot) -> DisplayDuration {
    DisplayDuration(slot.service.ready.interval)
}

fn killed(slot: &Slot, kill: KillAt) -> (String, Option<Time>) {
    match kill {
        KillAt::At(at) => ("it is killed if still running".to_owned(), Some(at)),
        KillAt::Held(_) => {
            let name = &slot.service.name;
            (
                format!(
                    "nothing until it exits: it is being debugged; run `devstack stop {name}` again to kill it"
                ),
                None,
            )
        }
        KillAt::Ordered => ("it is being killed".to_owned(), None),
        KillAt::Never => ("it is stopping".to_owned(), None),
    }
}

/// `db is ready and migrate has completed`
fn all_of(needs: &[Dependency]) -> String {
    let each: Vec<String> = needs.iter().map(one_of).collect();
    each.join(" and ")
}

fn one_of(need: &Dependency) -> String {
    let verb = if need.condition == Condition::Completed { "has" } else { "is" };
    format!("{} {verb} {}", need.service, need.condition)
}

fn past_run(end: &PastEnd, date: impl Fn(Time) -> String) -> PastRun {
    let lived = |lived: std::time::Duration| u64::try_from(lived.as_millis()).unwrap_or(u64::MAX);
    let PastEnd { run, start, exit, by, .. } = *end;
    PastRun { run, start, at: date(end.at), exit, lived_ms: end.lived.map(lived), by }
}

fn triggered(trigger: &Triggered, date: impl Fn(Time) -> String) -> FileTrigger {
    let path = DisplayPath(&trigger.path).to_string();
    FileTrigger { at: date(trigger.at), path, action: trigger.action.clone() }
}
