use crate::runtime::process::{Device, Size};

/// Where somebody who attaches sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// How much fits on it.
    pub size: Size,
    /// The terminal that it is; `None`: it is none, or unknown.
    pub terminal: Option<Device>,
}
