use std::path::Path;

use serde::Serializer;

/// Paths need not be UTF-8; serde refuses those that are not, and what is told must never fail.
pub(super) fn as_text<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}
