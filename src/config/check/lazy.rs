use crate::model::{ConflictPolicy, INNER_PORT, ServiceKind};

use super::ConfigChecker;
use crate::config::diagnostics::DiagnosticBuilder;
use crate::config::parse::RawTable;
use crate::config::spec::{LazySpec, PortSpec};

/// The words for `start`, and whether the service is lazy.
pub(in crate::config) const STARTS: [(&str, bool); 2] = [("eager", false), ("lazy", true)];

impl ConfigChecker<'_, '_> {
    /// Checks `start` and `idle`: whether a service waits for a client. `ports` are its ports.
    pub(super) fn lazy(
        &mut self,
        table: &RawTable<'_>,
        kind: ServiceKind,
        ports: &[PortSpec],
        on_conflict: ConflictPolicy,
    ) -> Option<LazySpec> {
        let lazy = self.get(table, "start", |check, key, node| check.keyword(key, node, &STARTS));
        let idle = self.get(table, "idle", Self::positive_duration);
        let Some(start) = table.get("start").filter(|_| lazy == Some(true)) else {
            // A misspelled `start` was reported.
            if let Some(idle) = table.get("idle")
                && (lazy.is_some() || !table.contains_key("start"))
            {
                let help = "add `start = \"lazy\"`, or remove `idle`";
                self.error_at(idle.key, "only a lazy service can have `idle`", help);
            }
            return None;
        };
        if kind.is_task() {
            let help = "remove it, or make this a service: tasks run to completion";
            return self.reject(start.key, "a task cannot be lazy", help);
        }
        let Some(main) = ports.first() else {
            // Wrong ports were reported.
            if !table.contains_key("port") && !table.contains_key("ports") {
                let help = "add `port = 8000` or `port = \"auto\"`";
                self.error_at(start.key, "a lazy service needs a port", help);
            }
            return None;
        };
        if main.socket_activation {
            let fault = DiagnosticBuilder::at(main.at, "the port of a lazy service has `pass`");
            let fault = fault.secondary(start.key, "it is lazy");
            self.error(fault.help("remove `pass`: devstack keeps this port open itself"));
        }
        if let Some(port) = ports.iter().find(|port| port.name == INNER_PORT) {
            let fault = DiagnosticBuilder::at(port.at, "port name already used by a lazy service");
            let fault = fault.secondary(start.key, "it is lazy");
            self.error(fault.help("rename the port in `ports`"));
        }
        let inner = PortSpec::any(INNER_PORT, on_conflict, start.node.at);
        Some(LazySpec { inner, idle })
    }
}
