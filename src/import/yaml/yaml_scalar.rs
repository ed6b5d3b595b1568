//! What plain texts mean, which differs between versions of YAML and the programs that read it.

/// Whether a plain text is `null`.
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Reads a boolean as programs do that expect one.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// Returns what a plain text may also become: YAML 1.1 reads `no` as a boolean, `0777` as an octal
/// number and `22:30` as a number of minutes, and numbers may be printed in another form.
pub(super) fn read_otherwise(text: &str) -> Option<String> {
    if let Some(value) = parse_bool(text) {
        let other = value.to_string();
        return (other != text).then_some(other);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let other = if unsigned.contains(':') {
        sexagesimal(unsigned)?
    } else if let Some(number) = integer(unsigned) {
        number.to_string()
    } else if unsigned.contains(['.', 'e', 'E']) {
        let number: f64 = unsigned.replace('_', "").parse().ok()?;
        number.to_string()
    } else {
        return None;
    };
    (other != unsigned).then(|| if text.starts_with('-') { format!("-{other}") } else { other })
}

/// Reads an integer with a base, an octal one of YAML 1.1, or with `_` between its digits.
fn integer(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    let (digits, base) = match digits.as_bytes() {
        [b'0', b'x', ..] => (&digits[2..], 16),
        [b'0', b'o', ..] => (&digits[2..], 8),
        [b'0', b'b', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (&digits[..], 10),
    };
    u64::from_str_radix(digits, base).ok()
}

/// Reads `1:30:00` as YAML 1.1 does: digits of base 60.
fn sexagesimal(text: &str) -> Option<String> {
    let mut parts = text.split(':');
    let mut sum: u64 = parts.next()?.parse().ok()?;
    for part in parts {
        let digit: u64 = part.parse().ok().filter(|digit| *digit < 60)?;
        sum = sum.checked_mul(60)?.checked_add(digit)?;
    }
    Some(sum.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_read_in_two_ways_are_found() {
        for (text, other) in [
            ("no", "false"),
            ("on", "true"),
            ("True", "true"),
            ("0777", "511"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("1_000", "1000"),
            ("22:30", "1350"),
            ("1.0", "1"),
            ("-012", "-10"),
            ("1e3", "1000"),
        ] {
            assert_eq!(read_otherwise(text).as_deref(), Some(other), "{text}");
        }
        for text in ["true", "12", "0", "1.5", "api", "08", "1.2.3", "8080:80", "-", "", "1:99:x"] {
            assert_eq!(read_otherwise(text), None, "{text}");
        }
    }
}
