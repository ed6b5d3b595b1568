use std::collections::BTreeMap;

use crate::model::{
    Condition, EventView, EventViewKind, Name, Phase, ServiceView, Snapshot, Stack,
};

/// When the services of a stack reached the stages of its start. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default)]
pub(super) struct StartTrace {
    pub services: BTreeMap<Name, ServiceTrace>,
    /// Whether every service has a result.
    pub settled: bool,
}

/// The stages of one service; a stage that it has not reached is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServiceTrace {
    pub depends_on: BTreeMap<Name, Condition>,
    /// It was requested.
    pub wanted: Option<i64>,
    /// All its dependencies were met, and its process is being started.
    pub started: Option<i64>,
    /// Its process runs.
    pub spawned: Option<i64>,
    /// It is ready.
    pub ready: Option<i64>,
    /// It has exited as expected.
    pub completed: Option<i64>,
    /// It failed.
    pub failed: Option<i64>,
}

impl StartTrace {
    /// Creates a trace of services of which nothing is known yet.
    pub fn new(stack: &Stack) -> StartTrace {
        let trace = |depends_on: &BTreeMap<Name, Condition>| ServiceTrace {
            depends_on: depends_on.clone(),
            ..ServiceTrace::default()
        };
        let services = stack.services.iter();
        let services = services.map(|(name, service)| (name.clone(), trace(&service.depends_on)));
        StartTrace { services: services.collect(), settled: false }
    }

    /// Takes the state at the beginning, or after missed events.
    pub fn take_snapshot(&mut self, snapshot: &Snapshot) {
        // That may have happened before the first snapshot.
        self.settled |= snapshot.in_progress().next().is_none();
        for view in &snapshot.services {
            if let Some(at) = milliseconds(&view.since) {
                self.enter(&view.name, view.phase, at, view.pid.is_some());
                self.estimate_start(view, at);
            }
        }
    }

    /// Takes an event, until every service has a result.
    pub fn take_event(&mut self, event: &EventView) {
        match (&event.what, &event.service, milliseconds(&event.at)) {
            (EventViewKind::Settled { .. }, _, _) => self.settled = true,
            (EventViewKind::Phase { from, to, .. }, Some(name), Some(at)) if !self.settled => {
                // A second event in the same phase: the process exists.
                self.enter(name, *to, at, *from == Some(Phase::Starting));
            }
            _ => {}
        }
    }

    fn enter(&mut self, name: &Name, phase: Phase, at: i64, spawned: bool) {
        let Some(trace) = self.services.get_mut(name) else { return };
        if matches!(phase, Phase::Idle | Phase::Asleep) {
            return;
        }
        trace.wanted.get_or_insert(at);
        match phase {
            Phase::Starting => {
                trace.started.get_or_insert(at);
                if spawned {
                    trace.spawned.get_or_insert(at);
                }
            }
            Phase::Ready => drop(trace.ready.get_or_insert(at)),
            Phase::Done => drop(trace.completed.get_or_insert(at)),
            Phase::Failed | Phase::Unhealthy => drop(trace.failed.get_or_insert(at)),
            Phase::Idle
            | Phase::Asleep
            | Phase::Waiting
            | Phase::Blocked
            | Phase::Stopping
            | Phase::Backoff => {}
        }
    }

    /// A service that was ready before the first snapshot says how long it took.
    fn estimate_start(&mut self, view: &ServiceView, at: i64) {
        let (Some(trace), Some(took)) = (self.services.get_mut(&view.name), view.ready_after_ms)
        else {
            return;
        };
        let start = at - i64::try_from(took).unwrap_or(0);
        if trace.started.is_none() && view.phase == Phase::Ready {
            (trace.wanted, trace.started, trace.spawned) = (Some(start), Some(start), Some(start));
        }
    }
}

impl ServiceTrace {
    /// When it met a condition of its dependents.
    pub fn met(&self, condition: Condition) -> Option<i64> {
        match condition {
            Condition::Started => self.spawned.or(self.started),
            Condition::Ready => self.ready,
            Condition::Completed => self.completed,
        }
    }

    /// When it had a result.
    pub fn result(&self) -> Option<i64> {
        self.failed.or(self.completed).or(self.ready)
    }
}

fn milliseconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
