use std::time::Duration;

use super::ConfigChecker;
use crate::config::diagnostics::{DiagnosticBuilder, quote};
use crate::config::parse::{RawValue, SpannedValue};

/// The longest duration accepted: enough for any stack, and sums of a few stay far from overflow.
const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl ConfigChecker<'_, '_> {
    /// Checks a duration such as `"250ms"`, `"5s"`, `"2m"` or `"1h"`; zero is allowed.
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
        match parse(text) {
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

/// Parses a number with an optional fraction, and a unit.
fn parse(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit.trim_start_matches(' ') {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    if !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    let nanos = Duration::try_from_secs_f64(number * seconds).ok()?.as_nanos();
    // Round to microseconds: 0.3 s must not become 299,999,999 ns.
    Some(Duration::from_micros(u64::try_from((nanos + 500) / 1000).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let ms = Duration::from_millis;
        for (text, duration) in [
            ("250ms", ms(250)),
            ("0ms", ms(0)),
            ("5s", ms(5_000)),
            ("0.3s", ms(300)),
            ("1.5s", ms(1_500)),
            ("2m", ms(120_000)),
            ("1h", ms(3_600_000)),
            ("5 s", ms(5_000)),
        ] {
            assert_eq!(parse(text), Some(duration), "{text}");
        }
        for text in ["", "5", "s", "-5s", ".s", "5.s", "1.2.3s", "5 seconds", "1e3s", "5S", "∞s"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        let long = format!("{}h", "9".repeat(400));
        assert_eq!(parse(&long), None);
    }
}
