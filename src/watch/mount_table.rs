use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::sys::mount_entry::MountEntry;
use crate::sys::mounts;

/// File systems whose files can change without an event of this kernel: on a server, on the host of
/// a virtual machine, in a program. FUSE subtypes (`fuse.…`) count as well.
const REMOTE_FILE_SYSTEMS: &[&str] = &[
    "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fakeowner", "fuse",
    "fuseblk", "gfs2", "gpfs", "lustre", "macfuse", "ncpfs", "nfs", "nfs4", "ocfs2", "osxfuse",
    "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "webdav",
];

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MountTable(BTreeMap<PathBuf, MountEntry>);

impl MountTable {
    /// Reads the current mounts. Empty where the system does not report them.
    pub fn now() -> MountTable {
        MountTable(mounts::mounts())
    }

    /// Returns mount point and type of the mount of `path`, if it is remote.
    pub fn remote_mount(&self, path: &Path) -> Option<(&Path, &str)> {
        let (place, mount) = path.ancestors().find_map(|above| self.0.get_key_value(above))?;
        is_distant(place, &mount.kind).then_some((place, mount.kind.as_str()))
    }

    /// Returns the paths where something was mounted or unmounted.
    pub fn differences(&self, other: &MountTable) -> Vec<PathBuf> {
        let places =
            self.0.keys().chain(other.0.keys().filter(|place| !self.0.contains_key(*place)));
        places.filter(|place| self.0.get(*place) != other.0.get(*place)).cloned().collect()
    }
}

fn is_distant(place: &Path, kind: &str) -> bool {
    // The root of a container is an overlay with lower directories that do not change. Elsewhere
    // they may, and the kernel sends no events for changes below an overlay.
    let overlay = kind == "overlay" && place != Path::new("/");
    overlay || kind.starts_with("fuse.") || REMOTE_FILE_SYSTEMS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(list: &[(&str, u64, &str)]) -> MountTable {
        let mount = |(place, id, kind): &(&str, u64, &str)| {
            (PathBuf::from(place), MountEntry { id: *id, kind: (*kind).to_owned() })
        };
        MountTable(list.iter().map(mount).collect())
    }

    #[test]
    fn the_nearest_mount_decides() {
        let mounts = mounts(&[
            ("/", 1, "overlay"),
            ("/srv", 2, "nfs4"),
            ("/srv/local", 3, "ext4"),
            ("/srv/local/m", 4, "fuse.sshfs"),
            ("/layers", 5, "overlay"),
        ]);
        for (path, kind) in [
            ("/home/a", None),
            ("/srv/a", Some("nfs4")),
            ("/srvx", None),
            ("/srv/local/a", None),
            ("/srv/local/m/a", Some("fuse.sshfs")),
            ("/layers", Some("overlay")),
        ] {
            assert_eq!(mounts.remote_mount(Path::new(path)).map(|found| found.1), kind, "{path}");
        }
    }

    #[test]
    fn what_came_went_or_was_replaced_differs() {
        let before = mounts(&[("/", 1, "ext4"), ("/a", 2, "tmpfs"), ("/b", 3, "tmpfs")]);
        let after = mounts(&[("/", 1, "ext4"), ("/b", 4, "tmpfs"), ("/c", 5, "tmpfs")]);
        let places = ["/a", "/b", "/c"].map(PathBuf::from);
        assert_eq!(before.differences(&after), places);
        assert!(before.differences(&before).is_empty());
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    fn the_system_has_a_root() {
        assert!(MountTable::now().0.contains_key(Path::new("/")));
    }
}
