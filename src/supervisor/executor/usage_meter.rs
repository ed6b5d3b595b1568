//! CPU and memory usage of services: measured on request, never periodically.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::model::{RunId, ServiceView};
use crate::process::{RunTree, TreeUsage};

/// How long a measurement serves all clients. CPU time is counted in ticks of 10 ms, so shorter
/// intervals mean little, and a hundred clients must not cost more than one.
const CACHE_TIME: Duration = Duration::from_millis(200);

/// One tick: the shortest interval for a meaningful share.
const TICK: Duration = Duration::from_millis(10);

/// A run that can be measured.
pub struct MeteredRun {
    pub run: RunId,
    /// When its start was ordered.
    pub since: Instant,
    /// Its processes.
    pub tree: RunTree,
}

/// Resource usage of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServiceUsage {
    /// 100 is one CPU.
    cpu_percent: f64,
    memory_bytes: u64,
}

impl ServiceUsage {
    pub fn fill(self, view: &mut ServiceView) {
        view.cpu_percent = Some(self.cpu_percent);
        view.memory_bytes = Some(self.memory_bytes);
    }
}

/// Measures usage since the last measurement.
#[derive(Debug, Default)]
pub struct UsageMeter {
    looks: BTreeMap<RunId, UsageSample>,
}

/// A measurement of a run.
#[derive(Debug, Clone, Copy)]
struct UsageSample {
    at: Instant,
    spent: TreeUsage,
    usage: ServiceUsage,
}

impl UsageMeter {
    /// Measures these runs: CPU share since the last measurement, or else since the start of the
    /// run. Walks process trees, so it must not run in the supervisor's loop.
    pub fn measure(&mut self, subjects: &[MeteredRun]) -> BTreeMap<RunId, ServiceUsage> {
        let now = Instant::now();
        self.looks.retain(|run, _| subjects.iter().any(|subject| subject.run == *run));
        let due = |subject: &&MeteredRun| {
            let last = self.looks.get(&subject.run);
            last.is_none_or(|style| now.saturating_duration_since(style.at) >= CACHE_TIME)
        };
        let due: Vec<&MeteredRun> = subjects.iter().filter(due).collect();
        let trees: Vec<RunTree> = due.iter().map(|subject| subject.tree.clone()).collect();
        for (subject, spent) in due.into_iter().zip(RunTree::spent(&trees)) {
            match spent {
                Some(spent) => self.note(subject.run, subject.since, now, spent),
                None => drop(self.looks.remove(&subject.run)),
            }
        }
        self.looks.iter().map(|(run, style)| (*run, style.usage)).collect()
    }

    fn note(&mut self, run: RunId, began: Instant, now: Instant, spent: TreeUsage) {
        let (since, before) = match self.looks.get(&run) {
            Some(style) => (style.at, style.spent.cpu),
            None => (began, Duration::ZERO),
        };
        let cpu_percent = percent(spent.cpu.saturating_sub(before), now - since);
        let usage = ServiceUsage { cpu_percent, memory_bytes: spent.memory };
        self.looks.insert(run, UsageSample { at: now, spent, usage });
    }
}

/// A percentage with one decimal.
fn percent(part: Duration, of: Duration) -> f64 {
    let share = part.as_secs_f64() / of.max(TICK).as_secs_f64();
    (share * 1000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_the_same_time_are_one() {
        let mut meter = UsageMeter::default();
        let now = Instant::now();
        let long_ago = now.checked_sub(Duration::from_secs(9)).expect("uptime exceeds 9 s");
        let spent = TreeUsage { cpu: Duration::from_secs(9), memory: 7 };
        meter.note(RunId(1), long_ago, now + Duration::from_secs(60), spent);
        meter.note(RunId(2), long_ago, long_ago, spent);
        meter.note(RunId(3), long_ago, now, spent);
        let subject = |run| MeteredRun { run: RunId(run), since: long_ago, tree: RunTree::none() };
        let usage = meter.measure(&[subject(1), subject(2)]);
        // The first was just measured; the second has no processes left, and the third was not
        // requested.
        assert_eq!(usage.keys().collect::<Vec<_>>(), [&RunId(1)]);
        assert_eq!(usage[&RunId(1)].memory_bytes, 7);
    }

    #[test]
    fn a_share_is_that_since_the_last_look() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let spent = |ms| TreeUsage { cpu: Duration::from_millis(ms), memory: 7 };
        let mut meter = UsageMeter::default();
        let mut style = |run, now, cpu| {
            meter.note(RunId(run), began, at(now), spent(cpu));
            meter.looks[&RunId(run)].usage.cpu_percent
        };
        assert_eq!(style(1, 1000, 500), 50.0, "since its start");
        assert_eq!(style(1, 2000, 500), 0.0);
        assert_eq!(style(1, 4000, 4500), 200.0, "two CPUs");
        assert_eq!(style(1, 5000, 4000), 0.0, "CPU time is lost when a process exits");
        assert_eq!(style(2, 0, 0), 0.0);
        assert_eq!(style(3, 1, 10), 100.0, "less than a tick");
        assert_eq!(style(4, 3000, 1), 0.0);
        assert_eq!(style(5, 3000, 10), 0.3);
    }
}
