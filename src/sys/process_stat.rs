/// What the system reports of one process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// Short name, at most 15 bytes on Linux.
    pub name: String,
    pub parent: u32,
    pub group: u32,
    /// Start time, in the system's own unit since boot.
    pub born: u64,
    /// Exited but not reaped.
    pub zombie: bool,
}
