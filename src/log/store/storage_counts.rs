/// Where the bytes of a service are: `taken == stored + held + dropped`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StorageCounts {
    /// Bytes of captured lines.
    pub taken: u64,
    /// Bytes written to log files.
    pub stored: u64,
    /// Bytes that neither the disk nor memory could keep.
    pub dropped: u64,
}

impl StorageCounts {
    /// Returns the bytes in memory: not written yet, or not accepted by the disk.
    pub fn held(&self) -> u64 {
        self.taken - self.stored - self.dropped
    }
}
