/// What the system says about one process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proc {
    /// The short name, at most 15 bytes on Linux.
    pub name: String,
    /// The parent.
    pub parent: u32,
    /// The process group.
    pub group: u32,
    /// When it started, in the system's own measure since its boot.
    pub born: u64,
    /// It has ended and waits to be reaped.
    pub zombie: bool,
}
