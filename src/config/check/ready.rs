use std::time::Duration;

use crate::model::{ReadyConfig, ServiceKind};

use super::ConfigChecker;
use crate::config::parse::RawTable;
use crate::config::schema::misplaced;
use crate::config::spec::{PortSpec, ProbeSpec};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Enough for a first build, and for what it downloads.
const BUILD_TIMEOUT: Duration = Duration::from_secs(600);
const INTERVAL: Duration = Duration::from_millis(250);

impl ConfigChecker<'_, '_> {
    /// Checks `ready`. By default, a service with a port must listen on it, and a container be healthy
    /// too, if its image says how to find out; a task has no probes.
    /// `builds`: its command builds the program before it runs it.
    pub(super) fn ready(
        &mut self,
        service: &RawTable<'_>,
        kind: ServiceKind,
        ports: &[PortSpec],
        builds: bool,
        in_container: bool,
    ) -> ReadyConfig<ProbeSpec> {
        let nothing = RawTable::new();
        let table = self.get(service, "ready", Self::table).unwrap_or(&nothing);
        self.check_keys(table, misplaced::READY, "`ready`");
        // Cheap ones first.
        let kinds = ["delay", "tcp", "http", "https", "log", "exec", "notify", "healthcheck"];
        let timeout = if builds { BUILD_TIMEOUT } else { TIMEOUT };
        let mut probes = self.probes(table, &kinds, kind == ServiceKind::Service, ports);
        let is_default = !kinds.iter().any(|kind| table.contains_key(*kind));
        if is_default && in_container && !probes.is_empty() {
            probes.push(ProbeSpec::Healthcheck { optional: true });
        }
        ReadyConfig {
            probes,
            timeout: self.get(table, "timeout", Self::positive_duration).unwrap_or(timeout),
            interval: self.get(table, "interval", Self::positive_duration).unwrap_or(INTERVAL),
        }
    }
}
