use crate::runtime::process::{Device, Size};

/// The screen of a client that attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Its size.
    pub size: Size,
    /// Its terminal; `None` if it is not one or unknown.
    pub terminal: Option<Device>,
}
