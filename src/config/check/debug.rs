use crate::model::{ConflictPolicy, DEBUG_PORT};

use super::ConfigChecker;
use crate::config::diagnostics::DiagnosticBuilder;
use crate::config::parse::{RawTable, RawValue};
use crate::config::schema::misplaced;
use crate::config::spec::{CommandSpec, DebugSpec, PortSpec};

impl ConfigChecker<'_, '_> {
    /// Checks `debug`: how to start a service for a debugger. `ports` are its other ports.
    pub(super) fn debug(
        &mut self,
        service: &RawTable<'_>,
        ports: &[PortSpec],
        on_conflict: ConflictPolicy,
        in_container: bool,
    ) -> Option<DebugSpec> {
        let entry = service.get("debug")?;
        let at = entry.node.at;
        if let RawValue::Text(_) | RawValue::List(_) = &entry.node.value {
            let found = entry.node.value.type_name();
            let text = format!("expected a table for `debug`, found {found}");
            return self.reject(at, text, "write debug = { command = \"…\", port = \"auto\" }");
        }
        let table = self.table("debug", &entry.node)?;
        self.check_keys(table, misplaced::DEBUG, "`debug`");
        if let Some(port) = ports.iter().find(|port| port.name == DEBUG_PORT) {
            let fault = DiagnosticBuilder::at(port.at, "port name already used by `debug`");
            let fault = fault.secondary(entry.key, "`debug` is here");
            self.error(fault.help("rename the port in `ports`"));
        }
        let port = match table.get("port") {
            Some(entry) => self.port(DEBUG_PORT, "debug.port", &entry.node, on_conflict),
            None => PortSpec::any(DEBUG_PORT, on_conflict, at),
        };
        if port.socket_activation {
            let text = "`debug.port` does not support `pass`";
            self.error_at(port.at, text, "remove `pass`: debuggers open their own port");
        }
        Some(DebugSpec {
            command: self.get(table, "command", |check, _, node| match in_container {
                true => check.words("debug.command", node).map(CommandSpec::Exec),
                false => check.command("debug.command", node),
            }),
            port,
            waits: self
                .get(table, "wait", |check, _, node| check.boolean("debug.wait", node))
                .unwrap_or(false),
        })
    }
}
