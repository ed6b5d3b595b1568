use std::time::Duration;

use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, quote};
use crate::config::parse::{RawValue, SpannedValue};
use crate::units::parse_duration;

/// The longest duration accepted: enough for any stack, and sums of a few stay far from overflow.
const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl ConfigChecker<'_, '_> {
    /// Checks a duration such as `"250ms"`, `"5s"` or `"1h30m"`; zero is allowed.
    pub(super) fn duration(&mut self, key: &str, node: &SpannedValue<'_>) -> Option<Duration> {
        let help = "use a number with a unit: \"250ms\", \"5s\", \"2m\"";
        let text = match &node.value {
            RawValue::Text(text) => &**text,
            RawValue::Integer(Some(number @ 0..)) => {
                let text = format!("`{key}` has no unit");
                let help = format!("use \"{number}s\" or \"{number}ms\"");
                self.error(DiagnosticBuilder::at(node.at, text).help(help));
                return None;
            }
            _ => {
                self.type_error(key, "a duration", node);
                return None;
            }
        };
        match parse_duration(text) {
            Some(duration) if duration <= MAX_DURATION => Some(duration),
            Some(_) => {
                let text = format!("`{key}` must not exceed one week");
                self.error(DiagnosticBuilder::at(node.at, text).help(help));
                None
            }
            None => {
                let text = format!("invalid value {} for `{key}`", quote(text));
                self.error(DiagnosticBuilder::at(node.at, text).help(help));
                None
            }
        }
    }

    pub(super) fn positive_duration(
        &mut self,
        key: &str,
        node: &SpannedValue<'_>,
    ) -> Option<Duration> {
        let duration = self.duration(key, node)?;
        if duration.is_zero() {
            self.error(DiagnosticBuilder::at(
                node.at,
                format!("`{key}` must be greater than zero"),
            ));
            return None;
        }
        Some(duration)
    }
}
