use crate::model::{ConflictPolicy, DEBUG_PORT};

use super::ConfigChecker;
use crate::config::diagnostics::DiagnosticBuilder;
use crate::config::parse::{RawEntry, RawValue};
use crate::config::schema::misplaced;
use crate::config::spec::{DebugSpec, PortSpec};

impl ConfigChecker<'_, '_> {
    /// Checks `debug`: how to start a service for a debugger. `ports` are its other ports.
    pub(super) fn debug(
        &mut self,
        entry: Option<&RawEntry<'_>>,
        ports: &[PortSpec],
        on_conflict: ConflictPolicy,
    ) -> Option<DebugSpec> {
        let entry = entry?;
        if let RawValue::Text(_) | RawValue::List(_) = &entry.node.value {
            let text =
                format!("expected a table for `debug`, found {}", entry.node.value.type_name());
            let fault = DiagnosticBuilder::at(entry.node.at, text);
            self.error(fault.help("write debug = { command = \"…\", port = \"auto\" }"));
            return None;
        }
        let table = self.table("debug", &entry.node)?;
        self.check_keys(table, misplaced::DEBUG, "`debug`");
        if let Some(port) = ports.iter().find(|port| port.name == DEBUG_PORT) {
            let text = "port name already used by `debug`";
            let fault =
                DiagnosticBuilder::at(port.at, text).secondary(entry.key, "`debug` is here");
            self.error(fault.help("rename the port in `ports`"));
        }
        let port = match table.get("port") {
            Some(entry) => self.port(DEBUG_PORT, "debug.port", &entry.node, on_conflict),
            None => PortSpec::any(DEBUG_PORT, on_conflict, entry.node.at),
        };
        if port.socket_activation {
            let fault = DiagnosticBuilder::at(port.at, "`debug.port` does not support `pass`");
            self.error(fault.help("remove `pass`: debuggers open their own port"));
        }
        Some(DebugSpec {
            command: table
                .get("command")
                .and_then(|entry| self.command("debug.command", &entry.node)),
            port,
            waits: table
                .get("wait")
                .and_then(|entry| self.boolean("debug.wait", &entry.node))
                .unwrap_or(false),
        })
    }
}
