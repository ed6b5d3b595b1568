use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Condition, MessageClass, ModeView, Phase, ServiceKindView, StackState};
use crate::text::escape_control;

/// Displays enums by their words in JSON.
macro_rules! display_as_in_json {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        }
    )*};
}

display_as_in_json!(Condition, MessageClass, ModeView, Phase, ServiceKindView, StackState);

/// Displays a path on one line, with control characters escaped and U+FFFD for invalid UTF-8.
pub struct DisplayPath<'a>(pub &'a Path);

impl fmt::Display for DisplayPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_control(&self.0.to_string_lossy()))
    }
}

/// Serializes a path lossily: serde rejects paths that are not UTF-8, but a report must never fail.
pub(super) fn serialize_lossy<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

/// Displays a duration as `250ms`, `1.5s`, `2m` or `1h`, rounded to three digits.
pub struct DisplayDuration(pub Duration);

impl fmt::Display for DisplayDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        if ms < 1000 {
            write!(f, "{ms}ms")
        } else if !ms.is_multiple_of(60_000) {
            match ms {
                ..10_000 => write!(f, "{}s", (ms as f64 / 10.0).round() / 100.0),
                10_000..100_000 => write!(f, "{}s", (ms as f64 / 100.0).round() / 10.0),
                100_000..1_000_000 => write!(f, "{}s", (ms + 500) / 1000),
                1_000_000.. => write!(f, "{}m", (ms as f64 / 6_000.0).round() / 10.0),
            }
        } else if !ms.is_multiple_of(3_600_000) {
            write!(f, "{}m", ms / 60_000)
        } else {
            write!(f, "{}h", ms / 3_600_000)
        }
    }
}

/// Displays how old something is, in the largest useful unit: `119s`, `2m`, `5h` or `10d`.
pub struct DisplayAge(pub Duration);

impl fmt::Display for DisplayAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..120 => write!(f, "{seconds}s"),
            seconds @ 120..7_200 => write!(f, "{}m", seconds / 60),
            seconds @ 7_200..172_800 => write!(f, "{}h", seconds / 3_600),
            seconds => write!(f, "{}d", seconds / 86_400),
        }
    }
}

/// Displays a number of bytes as `48 B`, `64 kB`, `10 MB` or `12.5 GB`.
pub struct DisplaySize(pub u64);

impl fmt::Display for DisplaySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KB: u64 = 1_000;
        const MB: u64 = 1_000_000;
        match self.0 {
            bytes @ 0..KB => write!(f, "{bytes} B"),
            bytes @ KB..MB => write!(f, "{} kB", bytes / KB),
            bytes @ MB..10_000_000_000 => write!(f, "{} MB", bytes / MB),
            bytes => write!(f, "{:.1} GB", bytes as f64 / 1e9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_path_is_one_harmless_line() {
        let odd = OsStr::from_bytes(b"a\nb\x1b[31m\xffc\xc2\x9b\xc3\xa9.py");
        assert_eq!(DisplayPath(Path::new(odd)).to_string(), "a\\nb\\u{1b}[31m\u{fffd}c\\u{9b}é.py");
    }

    #[test]
    fn durations_ages_and_sizes_are_short() {
        let durations = [
            (0, "0ms"),
            (999, "999ms"),
            (1_500, "1.5s"),
            (1_234, "1.23s"),
            (9_999, "10s"),
            (59_000, "59s"),
            (59_688, "59.7s"),
            (99_990, "100s"),
            (123_456, "123s"),
            (1_234_567, "20.6m"),
            (61_500, "61.5s"),
            (90_000, "90s"),
            (5_400_000, "90m"),
            (18_000_000, "5h"),
        ];
        for (ms, text) in durations {
            assert_eq!(DisplayDuration(Duration::from_millis(ms)).to_string(), text);
        }
        let ages = [(0, "0s"), (119, "119s"), (120, "2m"), (7_300, "2h"), (172_800, "2d")];
        for (seconds, text) in ages {
            assert_eq!(DisplayAge(Duration::from_secs(seconds)).to_string(), text);
        }
        let sizes =
            [(48, "48 B"), (1_999, "1 kB"), (10_000_000, "10 MB"), (12_500_000_000, "12.5 GB")];
        for (bytes, text) in sizes {
            assert_eq!(DisplaySize(bytes).to_string(), text);
        }
    }
}
