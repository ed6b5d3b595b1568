use std::time::Duration;

use super::ConfigChecker;
use crate::config::diagnostics::quote;
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
                let help = format!("use \"{number}s\" or \"{number}ms\"");
                return self.reject(node.at, format!("`{key}` has no unit"), help);
            }
            _ => return self.type_error(key, "a duration", node),
        };
        match parse_duration(text) {
            Some(duration) if duration <= MAX_DURATION => Some(duration),
            Some(_) => self.reject(node.at, format!("`{key}` must not exceed one week"), help),
            None => {
                let text = format!("invalid value {} for `{key}`", quote(text));
                self.reject(node.at, text, help)
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
            return self.reject(node.at, format!("`{key}` must be greater than zero"), "");
        }
        Some(duration)
    }
}
