//! macOS signals nothing when a process is killed.

/// Does nothing.
#[derive(Debug)]
pub(crate) struct KillOnClose;

impl KillOnClose {
    pub const WORKS: bool = false;

    /// Always `None`.
    pub fn group(_group: u32) -> Option<KillOnClose> {
        None
    }
}
