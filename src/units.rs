//! Durations and sizes as people write them: in the file and on the command line.

use std::time::Duration;

/// Units of durations, in seconds. A day has 24 hours.
const DURATION_UNITS: [(&str, f64); 5] =
    [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

/// Units of sizes, in bytes.
const SIZE_UNITS: [(&str, u64); 10] = [
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

/// Parses a duration such as `90s`, `1.5s`, `250ms`, `1h30m` or `2d`: numbers with units, added up.
/// jiff's own syntax is wider: it has signs, words and ISO 8601, but no days in a plain duration.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c| !is_in_number(c))?);
        let (unit, after) = after.split_at(after.find(is_in_number).unwrap_or(after.len()));
        let (_, seconds) =
            DURATION_UNITS.iter().find(|(name, _)| *name == unit.trim_start_matches(' '))?;
        if !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
            return None;
        }
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        // Round to microseconds: 0.3 s must not become 299,999,999 ns.
        let micros = u64::try_from((part.as_nanos() + 500) / 1000).ok()?;
        sum = sum.checked_add(Duration::from_micros(micros))?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// Returns a duration as [`parse_duration`] and other programs read it, whole: `90s` or `1500ms`.
pub fn whole_duration(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

fn is_in_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// Parses a size such as `50MB` or `64 KiB`: an integer and a unit. Returns bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let unit = unit.trim_start_matches(' ');
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(number.parse::<u64>().ok()?.saturating_mul(*factor))
}

/// Returns a regular expression of what [`parse_duration`] accepts.
pub fn duration_pattern() -> String {
    let units = DURATION_UNITS.map(|(name, _)| name).join("|");
    format!(r"^([0-9]+(\.[0-9]+)? *({units}))+$")
}

/// Returns a regular expression of what [`parse_size`] accepts.
pub fn size_pattern() -> String {
    format!("^[0-9]+ *({})$", SIZE_UNITS.map(|(name, _)| name).join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let pattern = regex::Regex::new(&duration_pattern()).unwrap();
        let ms = Duration::from_millis;
        for (text, duration) in [
            ("250ms", ms(250)),
            ("0ms", ms(0)),
            ("5s", ms(5_000)),
            ("90s", ms(90_000)),
            ("0.3s", ms(300)),
            ("1.5s", ms(1_500)),
            ("2m", ms(120_000)),
            ("1h", ms(3_600_000)),
            ("1h30m", ms(5_400_000)),
            ("1m1.5s", ms(61_500)),
            ("1s250ms", ms(1_250)),
            ("2d", ms(172_800_000)),
            ("5 s", ms(5_000)),
            ("5 m", ms(300_000)),
        ] {
            assert_eq!(parse_duration(text), Some(duration), "{text}");
            assert!(pattern.is_match(text), "{text}");
        }
        for text in [
            "", "5", "s", "m", "-5s", "-5m", "+5s", ".s", ".5s", "5.s", "1.2.3s", "5 seconds",
            "1e3s", "5S", "∞s", "1h-2m", "1h30", "5s ago", "PT5S", "1:30:00", " 5s", "5s ", "s5",
            "infs",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
            assert!(!pattern.is_match(text), "{text}");
        }
        assert_eq!(parse_duration("9223372036854775807d"), None);
        assert_eq!(parse_duration(&format!("{}h", "9".repeat(400))), None);
    }

    #[test]
    fn sizes_are_integers_with_a_unit() {
        let pattern = regex::Regex::new(&size_pattern()).unwrap();
        for (text, size) in [
            ("50MB", 50_000_000),
            ("64 KiB", 65_536),
            ("1GB", 1_000_000_000),
            ("20000B", 20_000),
            ("99999999999999999TB", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Some(size), "{text}");
            assert!(pattern.is_match(text), "{text}");
        }
        for text in ["", "50", "MB", "-1MB", "1.5MB", "50mb", "50 M", "∞MB"] {
            assert_eq!(parse_size(text), None, "{text}");
            assert!(!pattern.is_match(text), "{text}");
        }
        assert_eq!(parse_size("99999999999999999999B"), None);
    }
}
