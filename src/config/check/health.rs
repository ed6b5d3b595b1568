use std::time::Duration;

use crate::model::{HealthAction, ServiceKind};

use super::ConfigChecker;
use crate::config::diagnostics::DiagnosticBuilder;
use crate::config::parse::{RawEntry, RawTable};
use crate::config::schema::misplaced;
use crate::config::spec::{HealthSpec, PortSpec, ProbeSpec};

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
        entry: Option<&RawEntry<'_>>,
        kind: ServiceKind,
        ports: &[PortSpec],
    ) -> Option<HealthSpec> {
        let entry = entry?;
        let table = self.table("health", &entry.node)?;
        if kind.is_task() {
            let fault = DiagnosticBuilder::at(entry.key, "tasks cannot have `health`");
            let help = "remove it, or make this a service: tasks run to completion";
            self.error(fault.help(help));
            return None;
        }
        self.unknown_keys(table, misplaced::HEALTH, "`health`", misplaced::suggest_health_key);
        let probes = self.health_probes(entry, table, ports);
        let mut health = HealthSpec {
            probes,
            interval: INTERVAL,
            failures: FAILURES,
            action: HealthAction::Report,
        };
        if let Some(entry) = table.get("interval") {
            health.interval = self.positive_duration("interval", &entry.node).unwrap_or(INTERVAL);
        }
        if let Some(entry) = table.get("failures") {
            let number = self.number("failures", &entry.node, 1..=MAX_FAILURES);
            health.failures =
                number.and_then(|number| u32::try_from(number).ok()).unwrap_or(FAILURES);
        }
        if let Some(entry) = table.get("action") {
            let action = self.keyword("action", &entry.node, &ACTIONS);
            health.action = action.unwrap_or(HealthAction::Report);
        }
        Some(health)
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
        let probes = self.probes(table, &["tcp", "http", "exec"], !refused, ports);
        let refused = refused || self.report.count() > before;
        if probes.is_empty() && !refused {
            let fault = DiagnosticBuilder::at(entry.key, "`health` has no probe");
            self.error(fault.help("set `tcp`, `http` or `exec`"));
        }
        probes
    }
}
