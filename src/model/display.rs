use serde::Serializer;
use std::fmt::{self, Write};
use std::path::Path;

/// Displays a path on one line, with control characters escaped and U+FFFD for invalid UTF-8.
pub struct DisplayPath<'a>(pub &'a Path);

impl fmt::Display for DisplayPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string_lossy().chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// Serializes a path lossily: serde rejects paths that are not UTF-8, but a report must never fail.
pub(super) fn serialize_lossy<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
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
}
