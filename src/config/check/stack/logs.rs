use crate::config::check::ConfigChecker;
use crate::config::diagnostics::quote;
use crate::config::parse::{RawValue, SpannedValue};
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
    pub(super) fn logs(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<LogRetention> {
        let table = self.table(key, node)?;
        self.check_keys(table, misplaced::LOGS, "[stack.logs]");
        let usual = LogRetention::default();
        Some(LogRetention {
            max_size: self.get(table, "max_size", Self::log_size).unwrap_or(usual.max_size),
            keep: self
                .get(table, "keep", |check, key, node| check.number(key, node, 0..=MAX_KEPT))
                .unwrap_or(usual.keep),
        })
    }

    fn log_size(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<u64> {
        let size = self.size(key, node, HELP)?;
        if !(MIN_LOG_SIZE..=MAX_LOG_SIZE).contains(&size) {
            return self.reject(node.at, format!("`{key}` must be between 256KB and 10TB"), "");
        }
        Some(size)
    }

    /// Checks a size such as `"50MB"`; returns bytes. `help` has examples.
    pub(super) fn size(&mut self, key: &str, node: &SpannedValue<'_>, help: &str) -> Option<u64> {
        let text = match &node.value {
            RawValue::Text(text) => &**text,
            RawValue::Integer(_) => {
                return self.reject(node.at, format!("`{key}` has no unit"), help);
            }
            _ => return self.type_error(key, "a size", node),
        };
        parse_size(text).or_else(|| {
            let text = format!("invalid value {} for `{key}`", quote(text));
            self.reject(node.at, text, help)
        })
    }
}
