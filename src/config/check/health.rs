use std::time::Duration;

use crate::model::{HealthAction, HealthConfig, ServiceKind};

use super::ConfigChecker;
use crate::config::parse::{RawEntry, RawTable};
use crate::config::schema::misplaced;
use crate::config::spec::{PortSpec, ProbeSpec};

const INTERVAL: Duration = Duration::from_secs(5);

const FAILURES: u32 = 3;

/// More than a day of probes, one per second.
pub(in crate::config) const MAX_FAILURES: i64 = 100_000;

pub(in crate::config) const ACTIONS: [(&str, HealthAction); 2] =
    [("report", HealthAction::Report), ("restart", HealthAction::Restart)];

impl ConfigChecker<'_, '_> {
    /// Checks `health`: the probes of a ready service. Default: it listens on its main port.
    pub(super) fn health(
        &mut self,
        service: &RawTable<'_>,
        kind: ServiceKind,
        ports: &[PortSpec],
    ) -> Option<HealthConfig<ProbeSpec>> {
        let entry = service.get("health")?;
        let table = self.table("health", &entry.node)?;
        if kind.is_task() {
            let help = "remove it, or make this a service: tasks run to completion";
            return self.reject(entry.key, "tasks cannot have `health`", help);
        }
        self.unknown_keys(table, misplaced::HEALTH, "`health`", misplaced::suggest_health_key);
        Some(HealthConfig {
            probes: self.health_probes(entry, table, ports),
            interval: self.get(table, "interval", Self::positive_duration).unwrap_or(INTERVAL),
            failures: self
                .get(table, "failures", |check, key, node| {
                    check.number(key, node, 1..=MAX_FAILURES)
                })
                .unwrap_or(FAILURES),
            action: self
                .get(table, "action", |check, key, node| check.keyword(key, node, &ACTIONS))
                .unwrap_or(HealthAction::Report),
        })
    }

    fn health_probes(
        &mut self,
        entry: &RawEntry<'_>,
        table: &RawTable<'_>,
        ports: &[PortSpec],
    ) -> Vec<ProbeSpec> {
        let known = |key: &&str| table.contains_key(*key);
        // Already rejected.
        let refused = ["delay", "log", "notify"].iter().any(known);
        let before = self.report.count();
        let probes =
            self.probes(table, &["tcp", "http", "https", "exec", "healthcheck"], !refused, ports);
        let refused = refused || self.report.count() > before;
        if probes.is_empty() && !refused {
            self.error_at(entry.key, "`health` has no probe", "set `tcp`, `http` or `exec`");
        }
        probes
    }
}
