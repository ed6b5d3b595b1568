use std::time::Duration;

use crate::model::{StopConfig, signal_name, signal_number};

use super::ConfigChecker;
use crate::config::diagnostics::{did_you_mean, quote};
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::CommandSpec;

const GRACE: Duration = Duration::from_secs(5);

impl ConfigChecker<'_, '_> {
    pub(super) fn stop(&mut self, service: &RawTable<'_>) -> StopConfig<CommandSpec> {
        let nothing = RawTable::new();
        let table = self.get(service, "stop", Self::table).unwrap_or(&nothing);
        self.check_keys(table, misplaced::STOP, "`stop`");
        let term = signal_number("TERM").expect("TERM is in the table of signals");
        StopConfig {
            signal: self.get(table, "signal", Self::signal).unwrap_or(term),
            grace: self.get(table, "grace", Self::duration).unwrap_or(GRACE),
            command: self.get(table, "command", Self::command),
        }
    }

    /// Checks a signal: a name with or without `SIG`, or a number.
    pub(super) fn signal(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<i32> {
        match &node.value {
            RawValue::Text(name) => signal_number(name).or_else(|| {
                let names: Vec<&str> = (1..32).filter_map(signal_name).collect();
                let bare = name.trim_start_matches("SIG");
                let help = did_you_mean(bare, names, || {
                    "use \"TERM\", \"INT\", \"QUIT\", \"HUP\" or another signal name".to_owned()
                });
                self.reject(node.at, format!("unknown signal {}", quote(name)), help)
            }),
            RawValue::Integer(_) => self.number(key, node, 1..=31),
            _ => self.type_error(key, "a signal name", node),
        }
    }
}
