use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use crate::regular_file::open_lock;
use crate::sys::process::network_namespace;

/// How much of a small file is read.
const MAX_TEXT: usize = 4096;

/// How often the lock is tried, which a start holds for a moment to see whether there is a front door.
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// The files of the front door in the runtime directory. Their names have the network namespace:
/// loopback is another one in a container.
#[derive(Debug, Clone)]
pub struct DoorFiles {
    dir: PathBuf,
    namespace: String,
}

impl DoorFiles {
    /// Returns the files in this runtime directory.
    pub fn below(runtime: &Path) -> DoorFiles {
        let namespace = network_namespace().map_or(String::new(), |inode| format!("-{inode}"));
        DoorFiles { dir: runtime.to_owned(), namespace }
    }

    /// Returns the runtime directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join(format!("proxy{}.sock", self.namespace))
    }

    /// Returns the file that the front door holds locked while it lives, with its port.
    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join(format!("proxy{}.lock", self.namespace))
    }

    /// Locks it for a front door. `None`: there is one already.
    pub(super) async fn take_lock(&self) -> io::Result<Option<File>> {
        let lock = open_lock(&self.lock(), true)?;
        for _ in 0..LOCK_TRIES {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(lock)),
                Err(TryLockError::WouldBlock) => sleep(LOCK_PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Returns the file that is locked while a stack looks for a port.
    pub(super) fn choice(&self) -> PathBuf {
        self.dir.join(format!("proxy{}.choice", self.namespace))
    }

    /// Returns the file with what the front door prints: a bug, or what `DEVSTACK_LOG` asks for.
    pub(super) fn errors(&self) -> PathBuf {
        self.dir.join(format!("proxy{}.err", self.namespace))
    }

    /// Creates the directory of claimed names and returns the file of one.
    pub(super) fn name(&self, domain: &str) -> io::Result<PathBuf> {
        let dir = self.dir.join("names");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(dir.join(domain))
    }
}

/// Writes what the holder of a lock says about itself.
pub(super) fn write_label(file: &File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all_at(text.as_bytes(), 0)
}

/// Reads it. Empty if there is nothing.
pub(super) fn read_label(file: &File) -> String {
    let mut text = vec![0; MAX_TEXT];
    let length = file.read_at(&mut text, 0).unwrap_or(0);
    text.truncate(length);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn nothing_is_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        std::fs::write(&precious, "mine").unwrap();
        let files = DoorFiles::below(dir.path());
        for path in [files.lock(), files.choice(), files.errors(), files.name("x").unwrap()] {
            symlink(&precious, &path).unwrap();
            assert!(open_lock(&path, true).is_err(), "{}", path.display());
            std::fs::remove_file(&path).unwrap();
            let file = open_lock(&path, true).unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_to_string(precious).unwrap(), "mine");
    }
}
