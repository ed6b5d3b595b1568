use std::time::Duration;

use crate::model::ServiceKind;

use super::ConfigChecker;
use crate::config::parse::{RawEntry, RawTable};
use crate::config::schema::misplaced;
use crate::config::spec::{PortSpec, ReadySpec};

const TIMEOUT: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(250);

impl ConfigChecker<'_, '_> {
    /// Checks `ready`. By default, a service with a port must listen on it; a task has no probes.
    pub(super) fn ready(
        &mut self,
        entry: Option<&RawEntry<'_>>,
        kind: ServiceKind,
        ports: &[PortSpec],
    ) -> ReadySpec {
        let nothing = RawTable::new();
        let table = entry.and_then(|entry| self.table("ready", &entry.node)).unwrap_or(&nothing);
        self.check_keys(table, misplaced::READY, "`ready`");
        // Cheap ones first.
        let kinds = ["delay", "tcp", "http", "log", "exec", "notify"];
        let mut ready = ReadySpec {
            probes: self.probes(table, &kinds, kind == ServiceKind::Service, ports),
            timeout: TIMEOUT,
            interval: INTERVAL,
        };
        if let Some(entry) = table.get("timeout") {
            ready.timeout = self.positive_duration("timeout", &entry.node).unwrap_or(TIMEOUT);
        }
        if let Some(entry) = table.get("interval") {
            ready.interval = self.positive_duration("interval", &entry.node).unwrap_or(INTERVAL);
        }
        ready
    }
}
