//! Explains the state of a service to the user. Changes nothing.

use super::failure::ServiceFailure;
use super::history::{EndedRun, LastTrigger};
use super::kill_progress::KillProgress;
use super::run_state::{LiveRun, RunStage, RunState};
use super::service_state::{DesiredState, EngineTime, ServiceState};
use super::{BlockedServices, Engine, PROVEN_AFTER, failure_text};
use crate::model::{
    BlockedOn, Cause, Condition, Dependency, DisplayDuration, DisplayPath, FailingProbe,
    FileTrigger, HealthAction, HealthConfig, Name, NextStep, PastRun, PortStatus, ProbePurpose,
    ServiceKind, WhyView,
};

impl Engine {
    /// Explains a service's state, without its log; `date` formats times. `None`: unknown service.
    pub fn explain(
        &self,
        now: EngineTime,
        name: &Name,
        date: impl Fn(EngineTime) -> String,
    ) -> Option<WhyView> {
        let state = self.services.get(name)?;
        let blocked = self.blocked_services();
        let (text, at) = self.next_step(state, blocked.get(name));
        let until =
            |at: EngineTime| u64::try_from(at.saturating_sub(now).as_millis()).unwrap_or(u64::MAX);
        Some(WhyView {
            version: 1,
            stack: self.stack.as_ref().map(|stack| stack.name.clone()).unwrap_or_default(),
            at: date(now),
            service: self.view(name, state, &blocked, &date),
            next: NextStep { text, in_ms: at.map(until) },
            waits: self.blocked_on(state, &blocked),
            exits: state.past.runs.iter().map(|end| past_run(end, &date)).collect(),
            probe: state.failing_probe(),
            trigger: state.past.trigger.as_ref().map(|trigger| triggered(trigger, &date)),
            ports: state.port_facts(),
            log: Vec::new(),
        })
    }

    fn blocked_on(
        &self,
        service_state: &ServiceState,
        blocked: &BlockedServices,
    ) -> Vec<BlockedOn> {
        if self.shutdown.is_some()
            || !service_state.wanted()
            || !matches!(service_state.state, RunState::Idle)
        {
            return Vec::new();
        }
        let waited = |name: Name, condition: Option<Condition>| {
            let (phase, cause) = self.phase_of(self.services.get(&name)?, blocked.get(&name));
            let cause = cause.to_string();
            Some(BlockedOn { service: name, condition, phase, cause })
        };
        let needs = self.unmet_dependencies(service_state);
        if !needs.is_empty() {
            let all = needs.into_iter();
            return all.filter_map(|need| waited(need.service, Some(need.condition))).collect();
        }
        let other = self
            .renamed_from_live(service_state)
            .or_else(|| Some(self.port_blocked_by(service_state)?.1));
        other.and_then(|name| waited(name, None)).into_iter().collect()
    }

    /// Returns what happens next without user action, and when.
    fn next_step(
        &self,
        service_state: &ServiceState,
        blocked: Option<&ServiceFailure>,
    ) -> (String, Option<EngineTime>) {
        let ending = self.shutdown.is_some();
        match &service_state.state {
            RunState::Live(run) => service_state.next_of_live(run, ending),
            RunState::Idle
            | RunState::Finished(_)
            | RunState::BackingOff { .. }
            | RunState::AwaitingPort { .. }
                if ending =>
            {
                ("nothing: the stack is stopping".to_owned(), None)
            }
            RunState::Idle => (self.next_of_idle(service_state, blocked), None),
            RunState::BackingOff { cause: Cause::PortLingers(_), .. } => {
                ("it starts as soon as its port is free".to_owned(), None)
            }
            RunState::BackingOff { until, cause } => {
                let attempt = match cause {
                    Cause::BackingOff { count, .. } => format!("attempt {}", count + 1),
                    _ => "the next attempt".to_owned(),
                };
                (attempt, Some(*until))
            }
            RunState::AwaitingPort { .. } => ("choosing another port".to_owned(), None),
            RunState::Finished(_) => (self.next_of_finished(service_state), None),
        }
    }

    /// What restarts a finished service.
    fn next_of_finished(&self, state: &ServiceState) -> String {
        let restart = failure_text::run_restart(&state.service.name);
        match self.restart_trigger(state) {
            Some(change) => format!("waiting: {change} restarts it, or {restart}"),
            None => format!("nothing: {restart} to start it again"),
        }
    }

    fn next_of_idle(&self, state: &ServiceState, blocked: Option<&ServiceFailure>) -> String {
        let name = &state.service.name;
        match &state.desired {
            DesiredState::Removed => "nothing: removed from the configuration".to_owned(),
            DesiredState::No | DesiredState::Stopped => {
                format!("nothing: {} to start it", failure_text::run_start(name))
            }
            DesiredState::Asleep(_) => {
                let url = state.service.url().unwrap_or_default();
                let origin = self.origin_of(&state.service);
                let origin = origin.map(|name| format!("{name} or ")).unwrap_or_default();
                format!(
                    "the first connection to {origin}{url} starts it, or {}",
                    failure_text::run_start(name)
                )
            }
            DesiredState::Yes(_) if blocked.is_some() => format!(
                "nothing until its dependencies are fixed; it then starts automatically, or {}",
                failure_text::run_restart(name)
            ),
            DesiredState::Yes(_) => match self.unmet_dependencies(state).as_slice() {
                [] => "it starts after that".to_owned(),
                needs => format!("it starts when {}", all_of(needs)),
            },
        }
    }
}

impl ServiceState {
    fn next_of_live(&self, run: &LiveRun, ending: bool) -> (String, Option<EngineTime>) {
        if run.unstoppable().is_some() {
            let then = if self.wanted() && !ending { "; it then starts again" } else { "" };
            return (format!("nothing until that has ended{then}"), None);
        }
        match &run.stage {
            RunStage::Launching { .. } => ("its process is starting".to_owned(), None),
            RunStage::Starting { ready_by, .. } => (self.next_of_starting(run), *ready_by),
            RunStage::Late { .. } => {
                (format!("readiness is still probed every {}", interval(self)), None)
            }
            RunStage::Ready { .. } => (self.next_of_ready(), None),
            RunStage::Unhealthy { .. } => (self.next_of_unhealthy(), None),
            RunStage::Stopping { kill, .. } => {
                let again =
                    if self.wanted() && !ending { "it restarts once stopped; " } else { "" };
                let (text, at) = kill_step(self, kill);
                (again.to_owned() + &text, at)
            }
            RunStage::Draining { kill: KillProgress::At(at), .. } => {
                ("remaining processes are killed".to_owned(), Some(*at))
            }
            RunStage::Draining { .. } => {
                ("remaining processes are being terminated".to_owned(), None)
            }
        }
    }

    fn next_of_starting(&self, run: &LiveRun) -> String {
        if run.awaits_debugger() {
            return "it continues once a debugger attaches".to_owned();
        }
        match (self.service.kind, self.service.ready.probes.is_empty()) {
            (ServiceKind::Task, true) => "nothing until it exits".to_owned(),
            (ServiceKind::Service, true) => {
                let time = DisplayDuration(PROVEN_AFTER);
                format!("it counts as ready after {time}, because it crashed before")
            }
            (ServiceKind::Task | ServiceKind::Service, false) => {
                format!("readiness is probed every {}; gives up waiting", interval(self))
            }
        }
    }

    fn next_of_ready(&self) -> String {
        let name = &self.service.name;
        if self.is_debugged() {
            let restart = failure_text::run_restart(name);
            return format!("nothing: it is being debugged; {restart} to apply changes");
        }
        if self.held_restart.is_some() {
            return "it restarts once the dependency is back".to_owned();
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

    fn next_of_unhealthy(&self) -> String {
        match &self.service.health {
            Some(HealthConfig { interval, action: HealthAction::Report, .. }) => {
                format!("health is still probed every {}", DisplayDuration(*interval))
            }
            Some(HealthConfig { action: HealthAction::Restart, .. }) => "it restarts".to_owned(),
            None => "nothing".to_owned(),
        }
    }

    fn failing_probe(&self) -> Option<FailingProbe> {
        let probe = |probe, text: &str| Some(FailingProbe { probe, text: text.to_owned() });
        match self.stage() {
            Some(RunStage::Unhealthy { failure }) => {
                probe(ProbePurpose::Health, &failure.message(&self.service.name).text)
            }
            Some(RunStage::Stopping { cause: Cause::HealthFailed(why), .. }) => {
                probe(ProbePurpose::Health, why)
            }
            _ => probe(ProbePurpose::Ready, self.newest_run()?.probe_failure.as_ref()?),
        }
    }

    fn port_facts(&self) -> Vec<PortStatus> {
        // What its program opens in place of the main port says whether that one is served.
        let shown = self.service.ports.iter().filter(|port| !self.service.is_inner(port));
        let facts = shown.zip(self.service.own_ports()).map(|(port, own)| PortStatus {
            name: port.name.clone(),
            wanted: port.wanted,
            given: port.number,
            pinned: port.pinned,
            moved: port.moved.clone(),
            listens: self.live().and_then(|run| run.facts.listens_on(own.number)),
        });
        facts.collect()
    }
}

fn interval(state: &ServiceState) -> DisplayDuration {
    DisplayDuration(state.service.ready.interval)
}

fn kill_step(state: &ServiceState, kill: &KillProgress) -> (String, Option<EngineTime>) {
    match kill {
        KillProgress::At(at) => ("it is killed if still running".to_owned(), Some(*at)),
        KillProgress::Debugging(_) => {
            let stop = failure_text::run_stop_again(&state.service.name);
            (format!("nothing until it exits: it is being debugged; {stop}"), None)
        }
        KillProgress::Ordered { .. } | KillProgress::Overdue | KillProgress::Survived(_) => {
            ("it is being killed".to_owned(), None)
        }
        KillProgress::ByKeeper { .. } | KillProgress::NotNeeded => {
            ("it is stopping".to_owned(), None)
        }
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

fn past_run(end: &EndedRun, date: impl Fn(EngineTime) -> String) -> PastRun {
    let lived = |lived: std::time::Duration| u64::try_from(lived.as_millis()).unwrap_or(u64::MAX);
    let EndedRun { run, start, exit, by, .. } = *end;
    let (lived_ms, note) = (end.lived.map(lived), end.note.clone());
    PastRun { run, start, at: date(end.at), exit, lived_ms, by, note }
}

fn triggered(trigger: &LastTrigger, date: impl Fn(EngineTime) -> String) -> FileTrigger {
    let path = DisplayPath(&trigger.path).to_string();
    FileTrigger { at: date(trigger.at), path, action: trigger.action.clone() }
}
