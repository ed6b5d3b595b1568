use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, quote};
use crate::config::parse::{RawTable, RawValue, SpannedValue};
use crate::config::schema::misplaced;
use crate::model::LogRetention;

/// A single read of a busy service is never split and can fill half of this.
const MIN_LOG_SIZE: u64 = 256_000;
/// More than today's laptop disks hold.
const MAX_LOG_SIZE: u64 = 10_000_000_000_000;
/// Reading the whole log opens each of these files.
pub(in crate::config) const MAX_KEPT: i64 = 1000;

/// Size units, in bytes.
pub(in crate::config) const UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("KB", 1000),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

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
        match parse(text) {
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

/// Parses an integer and a unit.
fn parse(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let unit = unit.trim_start_matches(' ');
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(number.parse::<u64>().ok()?.saturating_mul(*factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        for (text, size) in [
            ("50MB", 50_000_000),
            ("64 KiB", 65_536),
            ("1GB", 1_000_000_000),
            ("20000B", 20_000),
            ("99999999999999999TB", u64::MAX),
        ] {
            assert_eq!(parse(text), Some(size), "{text}");
        }
        for text in
            ["", "50", "MB", "-1MB", "1.5MB", "50mb", "50 M", "∞MB", "99999999999999999999B"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
