/// What the system reports of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountEntry {
    /// A different id is a different mount.
    pub id: u64,
    /// File system type: `ext4`, `nfs4`.
    pub kind: String,
}
