use std::fmt;
use std::path::PathBuf;

/// Something of this machine that a container sees as a directory or file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    pub source: VolumeSource,
    /// Where it is inside, absolute.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
}

/// What a volume mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// A named volume of the stack. It outlives its containers.
    Named(String),
    /// A path of this machine, absolute.
    Bind(PathBuf),
    /// A volume that ends with its container.
    Anonymous,
}

/// As it is written: `db-data:/var/lib/postgresql/data:ro`.
impl fmt::Display for VolumeMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            VolumeSource::Named(name) => write!(f, "{name}:")?,
            VolumeSource::Bind(path) => write!(f, "{}:", path.display())?,
            VolumeSource::Anonymous => {}
        }
        let mode = if self.read_only { ":ro" } else { "" };
        write!(f, "{}{mode}", self.target)
    }
}

/// Whether engines accept this name for a volume.
pub fn is_volume_name(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}
