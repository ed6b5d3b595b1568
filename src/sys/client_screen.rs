use super::pty::TermSize;
use super::tty_id::TtyId;

/// The screen of a client that attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientScreen {
    /// Its size.
    pub size: TermSize,
    /// Its terminal; `None` if it is not one or unknown.
    pub terminal: Option<TtyId>,
}
