use std::path::Path;

use serde::Serializer;

/// Serializes a path lossily: serde rejects paths that are not UTF-8, but a report must never fail.
pub(super) fn serialize_lossy<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}
