use std::time::Duration;

use crate::model::{signal_name, signal_number};

use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, did_you_mean, quote};
use crate::config::parse::{RawEntry, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::config::spec::StopSpec;

const GRACE: Duration = Duration::from_secs(5);

impl ConfigChecker<'_, '_> {
    pub(super) fn stop(&mut self, entry: Option<&RawEntry<'_>>) -> StopSpec {
        let term = signal_number("TERM").expect("TERM is in the table of signals");
        let mut stop = StopSpec { signal: term, command: None, grace: GRACE };
        let Some(table) = entry.and_then(|entry| self.table("stop", &entry.node)) else {
            return stop;
        };
        self.check_keys(table, misplaced::STOP, "`stop`");
        if let Some(entry) = table.get("signal") {
            stop.signal = self.signal(&entry.node).unwrap_or(term);
        }
        if let Some(entry) = table.get("grace") {
            stop.grace = self.duration("grace", &entry.node).unwrap_or(GRACE);
        }
        if let Some(entry) = table.get("command") {
            stop.command = self.command("command", &entry.node);
        }
        stop
    }

    /// Checks a signal: a name with or without `SIG`, or a number.
    pub(super) fn signal(&mut self, node: &SpannedValue<'_>) -> Option<i32> {
        match &node.value {
            RawValue::Text(name) => {
                if let Some(number) = signal_number(name) {
                    return Some(number);
                }
                let names: Vec<&str> = (1..32).filter_map(signal_name).collect();
                let bare = name.trim_start_matches("SIG");
                let help = did_you_mean(bare, names, || {
                    "use \"TERM\", \"INT\", \"QUIT\", \"HUP\" or another signal name".to_owned()
                });
                let text = format!("unknown signal {}", quote(name));
                self.error(DiagnosticBuilder::at(node.at, text).help(help));
                None
            }
            RawValue::Integer(_) => {
                self.number("signal", node, 1..=31).and_then(|number| i32::try_from(number).ok())
            }
            _ => {
                self.type_error("signal", "a signal name", node);
                None
            }
        }
    }
}
