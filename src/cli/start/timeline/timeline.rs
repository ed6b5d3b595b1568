use std::collections::BTreeSet;

use super::start_trace::{ServiceTrace, StartTrace};
use crate::model::Name;

/// What a start waited for. Times are milliseconds since its begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timeline {
    /// How long the start took, or has taken so far.
    pub total: i64,
    /// One row for each requested service, in the order in which they started.
    pub rows: Vec<TimelineRow>,
    /// The chain of services that decided how long the start took, first to last.
    pub critical_path: Vec<Name>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimelineRow {
    pub service: Name,
    /// The dependency that it waited for last.
    pub waited_for: Option<Name>,
    /// Waiting, starting and probing, in this order; a stage of no length is left out.
    pub stages: Vec<(TimelineStage, i64, i64)>,
    pub end: RowEnd,
    pub is_critical: bool,
}

/// What a service does during its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimelineStage {
    /// Waits for dependencies.
    Waiting,
    /// Its process is being started.
    Starting,
    /// Its process runs and is not ready; a task runs.
    Probing,
}

/// How the start of a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowEnd {
    Ready(i64),
    Completed(i64),
    Failed(i64),
    /// It has no result.
    Open,
}

impl Timeline {
    /// Computes it at `now`, which ends what is still open.
    pub fn of(trace: &StartTrace, now: i64) -> Timeline {
        let wanted = || trace.services.iter().filter(|(_, service)| service.wanted.is_some());
        let begin = wanted().filter_map(|(_, service)| service.wanted).min().unwrap_or(now);
        let open = wanted().any(|(_, service)| service.result().is_none());
        let last = wanted().filter_map(|(_, service)| service.result()).max();
        let end = last.filter(|_| !open).unwrap_or(now).max(begin);
        let critical_path = critical_path(trace, end);
        let critical: BTreeSet<&Name> = critical_path.iter().collect();
        let mut rows: Vec<TimelineRow> = wanted()
            .map(|(name, service)| TimelineRow {
                service: name.clone(),
                waited_for: last_dependency(trace, service, end).map(|(name, _)| name.clone()),
                stages: stages(service, begin, end),
                end: row_end(service, begin),
                is_critical: critical.contains(name),
            })
            .collect();
        let starts = |row: &TimelineRow| {
            let waiting = row.stages.iter().find(|(stage, ..)| *stage == TimelineStage::Waiting);
            waiting.map_or(0, |(_, _, to)| *to)
        };
        rows.sort_by_key(starts);
        Timeline { total: end - begin, rows, critical_path }
    }
}

/// Follows the last result back: each service on the path started when the one before it met its
/// condition.
fn critical_path(trace: &StartTrace, end: i64) -> Vec<Name> {
    let wanted = trace.services.iter().filter(|(_, service)| service.wanted.is_some());
    let mut path = Vec::new();
    let mut next = wanted.max_by_key(|(_, service)| service.result().unwrap_or(end));
    // Dependencies have no cycles.
    while let Some((name, service)) = next {
        path.push(name.clone());
        next = last_dependency(trace, service, end)
            .and_then(|(name, _)| trace.services.get_key_value(name));
    }
    path.reverse();
    path
}

/// Returns the dependency that was met last, and when; one that is not met is met at `end`.
fn last_dependency<'a>(
    trace: &StartTrace,
    service: &'a ServiceTrace,
    end: i64,
) -> Option<(&'a Name, i64)> {
    let met = service.depends_on.iter().filter_map(|(name, condition)| {
        let dependency = trace.services.get(name).filter(|one| one.wanted.is_some())?;
        Some((name, dependency.met(*condition).unwrap_or(end)))
    });
    met.max_by_key(|(_, at)| *at)
}

fn stages(service: &ServiceTrace, begin: i64, end: i64) -> Vec<(TimelineStage, i64, i64)> {
    let over = service.result().unwrap_or(end);
    let started = service.started.unwrap_or(over);
    let spawned = service.spawned.unwrap_or(over).max(started);
    let all = [
        (TimelineStage::Waiting, begin, started),
        (TimelineStage::Starting, started, spawned),
        (TimelineStage::Probing, spawned, over),
    ];
    let relative = all.map(|(stage, from, to)| (stage, from - begin, to.min(over) - begin));
    relative.into_iter().filter(|(_, from, to)| from < to).collect()
}

fn row_end(service: &ServiceTrace, begin: i64) -> RowEnd {
    match (service.failed, service.completed, service.ready) {
        (Some(at), _, _) => RowEnd::Failed(at - begin),
        (None, Some(at), _) => RowEnd::Completed(at - begin),
        (None, None, Some(at)) => RowEnd::Ready(at - begin),
        (None, None, None) => RowEnd::Open,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Condition;

    fn name(text: &str) -> Name {
        Name::new(text).expect("valid name")
    }

    fn service(needs: &[(&str, Condition)], times: [i64; 3]) -> ServiceTrace {
        let [started, spawned, ready] = times.map(|time| Some(1000 + time));
        let depends_on = needs.iter().map(|(need, condition)| (name(need), *condition)).collect();
        let wanted = Some(1000);
        let (completed, failed) = (None, None);
        ServiceTrace { depends_on, wanted, started, spawned, ready, completed, failed }
    }

    fn trace(services: Vec<(&str, ServiceTrace)>) -> StartTrace {
        let services = services.into_iter().map(|(text, service)| (name(text), service));
        StartTrace { services: services.collect::<BTreeMap<_, _>>(), settled: true }
    }

    /// `web` waits for `api`, which waits for `db` and a task; `cache` is needed once it has started.
    pub(crate) fn shop() -> StartTrace {
        let mut migrate = service(&[("db", Condition::Ready)], [400, 410, 0]);
        (migrate.ready, migrate.completed) = (None, Some(1900));
        let api = [
            ("db", Condition::Ready),
            ("migrate", Condition::Completed),
            ("cache", Condition::Started),
        ];
        let unwanted = ServiceTrace::default();
        trace(vec![
            ("api", service(&api, [900, 920, 1500])),
            ("cache", service(&[], [0, 5, 2000])),
            ("db", service(&[], [0, 10, 400])),
            ("migrate", migrate),
            ("spare", unwanted),
            ("web", service(&[("api", Condition::Ready)], [1500, 1510, 2300])),
        ])
    }

    fn path(trace: &StartTrace, now: i64) -> String {
        let names = Timeline::of(trace, now).critical_path;
        names.iter().map(Name::as_str).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_critical_path_leads_from_the_last_result_to_the_first_start() {
        assert_eq!(path(&shop(), 9000), "db migrate api web");
        // A dependency that is only started holds nothing up for long.
        let mut slow = shop();
        slow.services.get_mut(&name("cache")).expect("known").ready = Some(5000);
        assert_eq!(path(&slow, 9000), "cache");
        assert_eq!(path(&trace(vec![]), 9000), "");
    }

    #[test]
    fn what_is_still_open_at_the_end_is_what_was_waited_for() {
        let mut open = shop();
        for (service, stages) in [("api", 0), ("web", 1)] {
            let service = open.services.get_mut(&name(service)).expect("known");
            service.ready = None;
            if stages == 1 {
                (service.started, service.spawned) = (None, None);
            }
        }
        assert_eq!(path(&open, 4000), "db migrate api web");
        let timeline = Timeline::of(&open, 4000);
        assert_eq!(timeline.total, 3000);
        let web = timeline.rows.iter().find(|row| row.service == name("web")).expect("wanted");
        assert_eq!(
            (web.end, &*web.stages),
            (RowEnd::Open, &[(TimelineStage::Waiting, 0, 3000)][..])
        );
    }

    #[test]
    fn a_row_has_its_stages_and_the_dependency_that_was_met_last() {
        let timeline = Timeline::of(&shop(), 9000);
        assert_eq!(timeline.total, 2300);
        let names: Vec<&str> = timeline.rows.iter().map(|row| row.service.as_str()).collect();
        assert_eq!(names, ["cache", "db", "migrate", "api", "web"]);
        let api = &timeline.rows[3];
        assert_eq!(api.waited_for, Some(name("migrate")));
        let stages = [
            (TimelineStage::Waiting, 0, 900),
            (TimelineStage::Starting, 900, 920),
            (TimelineStage::Probing, 920, 1500),
        ];
        assert_eq!((&*api.stages, api.end), (&stages[..], RowEnd::Ready(1500)));
        assert_eq!(timeline.rows[2].end, RowEnd::Completed(900));
        assert!(!timeline.rows[0].is_critical && api.is_critical);
    }
}
