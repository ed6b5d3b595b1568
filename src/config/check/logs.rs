use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, quote};
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::model::LogRetention;
use crate::units::parse_size;

/// A single read of a busy service is never split and can fill half of this.
const MIN_LOG_SIZE: u64 = 256_000;
/// More than today's laptop disks hold.
const MAX_LOG_SIZE: u64 = 10_000_000_000_000;
/// Reading the whole log opens each of these files.
pub(in crate::config) const MAX_KEPT: i64 = 1000;

const HELP: &str = "use a number with a unit: \"500KB\", \"50MB\", \"2GB\"";

impl ConfigChecker<'_, '_> {
    pub(super) fn logs(&mut self, stack: &RawTable<'_>) -> LogRetention {
        let mut limits = LogRetention::default();
        let Some(entry) = stack.get("logs") else { return limits };
        let Some(table) = self.table("logs", &entry.node) else { return limits };
        self.check_keys(table, misplaced::LOGS, "[stack.logs]");
        if let Some(size) = table.get("max_size").and_then(|entry| self.size(&entry.node)) {
            limits.max_size = size;
        }
        let kept = table.get("keep").and_then(|e| self.number("keep", &e.node, 0..=MAX_KEPT));
        if let Some(keep) = kept.and_then(|keep| u32::try_from(keep).ok()) {
            limits.keep = keep;
        }
        limits
    }

    /// Checks a size such as `"50MB"`; returns bytes.
    fn size(&mut self, node: &SpannedValue<'_>) -> Option<u64> {
        let text = match &node.value {
            RawValue::Text(text) => &**text,
            RawValue::Integer(_) => {
                self.error(DiagnosticBuilder::at(node.at, "`max_size` has no unit").help(HELP));
                return None;
            }
            _ => {
                self.type_error("max_size", "a size", node);
                return None;
            }
        };
        match parse_size(text) {
            Some(size) if (MIN_LOG_SIZE..=MAX_LOG_SIZE).contains(&size) => Some(size),
            Some(_) => {
                let text = "`max_size` must be between 256KB and 10TB";
                self.error(DiagnosticBuilder::at(node.at, text));
                None
            }
            None => {
                let text = format!("invalid value {} for `max_size`", quote(text));
                self.error(DiagnosticBuilder::at(node.at, text).help(HELP));
                None
            }
        }
    }
}
