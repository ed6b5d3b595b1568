//! macOS has no limit that is inherited, can be read, and means nothing.

/// Does nothing.
pub(crate) fn set(_mark: u64) {}

/// Always `None`.
pub(crate) fn of(_pid: u32) -> Option<u64> {
    None
}

/// Never.
pub(crate) fn are_supported() -> bool {
    false
}
