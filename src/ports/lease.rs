use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A number that no other devstack of this user takes while this value lives. The kernel ends it when the process
/// dies, however it dies: the lock belongs to the open file. (So a forked child that is never exec'd and keeps the
/// file open would keep the lease; nothing forks after leases exist.)
#[derive(Debug)]
pub struct Lease {
    file: File,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What is written is only believed while the file is locked; without this line a later holder could for an
        // instant be called by our name. A failure changes nothing else. The lock goes when the file is closed.
        self.file.set_len(0).ok();
    }
}

/// What came of asking for a lease.
#[derive(Debug)]
pub enum Leasing {
    /// It is ours.
    Taken(Lease),
    /// Another devstack has it; with the folder of its stack, where that could be read.
    Held(Option<PathBuf>),
    /// Leases do not work here: the disk is full, no more files can be opened.
    Failed(io::Error),
}

/// The folder with one lock file per number, shared by every devstack of a user. The files stay: removing a lock file
/// that somebody is just opening would let two hold the same number.
#[derive(Debug, Clone)]
pub struct LeaseFolder {
    path: PathBuf,
}

/// The most that is read of a lock file: a path has at most 4,096 bytes on Linux, and some become escapes.
const LONGEST_TEXT: u64 = 16 * 1024;

/// What stands in a lock file, for the message that another devstack shows.
#[derive(Serialize, Deserialize)]
struct Label {
    pid: u32,
    folder: PathBuf,
}

impl LeaseFolder {
    /// Makes the folder with mode 0700 when it is missing. An error when it belongs to somebody else or is no folder.
    pub fn open(path: &Path) -> io::Result<LeaseFolder> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let leases = LeaseFolder::check(path)?;
        if path.symlink_metadata()?.mode() & 0o077 != 0 {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o700))?;
        }
        Ok(leases)
    }

    /// The folder as it is, for looking only; `None` when there is none to be trusted.
    pub fn find(path: &Path) -> Option<LeaseFolder> {
        LeaseFolder::check(path).ok()
    }

    fn check(path: &Path) -> io::Result<LeaseFolder> {
        let found = path.symlink_metadata()?;
        if !found.is_dir() {
            return Err(io::Error::other("it is not a folder"));
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to another user"));
        }
        Ok(LeaseFolder { path: path.to_owned() })
    }

    /// Asks for `port` on behalf of the stack in `folder`. Never waits.
    pub fn take(&self, port: u16, folder: &Path) -> Leasing {
        let file = match self.file(port, true) {
            Ok(file) => file,
            Err(error) => return Leasing::Failed(error),
        };
        match file.try_lock() {
            Ok(()) => {
                label(&file, folder);
                Leasing::Taken(Lease { file })
            }
            Err(TryLockError::WouldBlock) => Leasing::Held(read_label(&file)),
            Err(TryLockError::Error(error)) => Leasing::Failed(error),
        }
    }

    /// The folder of the stack that has `port`: outer `None`, nobody has it; inner `None`, somebody unknown.
    pub fn holder(&self, port: u16) -> Option<Option<PathBuf>> {
        let file = self.file(port, false).ok()?;
        match file.try_lock_shared() {
            // Closing the file gives the lock back at once.
            Ok(()) | Err(TryLockError::Error(_)) => None,
            Err(TryLockError::WouldBlock) => Some(read_label(&file)),
        }
    }

    fn file(&self, port: u16, create: bool) -> io::Result<File> {
        let path = self.path.join(format!("{port}.lock"));
        OpenOptions::new().read(true).write(true).create(create).mode(0o600).open(path)
    }
}

/// Says in the file who holds it. The lock holds without it, so a full disk is no reason to fail.
fn label(mut file: &File, folder: &Path) {
    let label = Label { pid: std::process::id(), folder: folder.to_owned() };
    // A folder whose name is not UTF-8 has no JSON form and stays unsaid.
    let Ok(text) = serde_json::to_vec(&label) else { return };
    if file.set_len(0).and_then(|()| file.write_all(&text)).is_err() {
        file.set_len(0).ok();
    }
}

/// Believed only when the process that wrote it still lives; else it is from an earlier holder that was killed.
fn read_label(file: &File) -> Option<PathBuf> {
    let mut text = Vec::new();
    file.take(LONGEST_TEXT).read_to_end(&mut text).ok()?;
    let label: Label = serde_json::from_slice(&text).ok()?;
    let pid = rustix::process::Pid::from_raw(label.pid.try_into().ok()?)?;
    rustix::process::test_kill_process(pid).is_ok().then_some(label.folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::{LeaseFolder, Leasing};

    #[test]
    fn a_lease_excludes_others_until_it_is_dropped_and_says_who_has_it() {
        let place = tempfile::tempdir().unwrap();
        let first = LeaseFolder::open(&place.path().join("a/leases")).unwrap();
        let second = LeaseFolder::open(&place.path().join("a/leases")).unwrap();
        let Leasing::Taken(lease) = first.take(20_000, Path::new("/home/x/shop")) else {
            panic!("a fresh folder has no leases");
        };
        match second.take(20_000, Path::new("/y")) {
            Leasing::Held(Some(folder)) => assert_eq!(folder, Path::new("/home/x/shop")),
            other => panic!("{other:?}"),
        }
        assert_eq!(second.holder(20_000), Some(Some("/home/x/shop".into())));
        assert!(matches!(second.take(20_001, Path::new("/y")), Leasing::Taken(_)));
        drop(lease);
        assert_eq!(second.holder(20_000), None);
        assert!(matches!(second.take(20_000, Path::new("/y")), Leasing::Taken(_)));
    }

    #[test]
    #[ignore = "the holder of `a_killed_holder_leaves_nothing`, which starts it"]
    fn holds_until_it_is_killed() {
        let Some(place) = std::env::var_os("LEASE_FOLDER") else { return };
        let leases = LeaseFolder::open(Path::new(&place)).unwrap();
        let lease = leases.take(20_000, Path::new("/killed"));
        assert!(matches!(lease, Leasing::Taken(_)));
        println!("\ntaken");
        // Ends when the other test does, however that ends.
        std::io::stdin().lines().for_each(drop);
    }

    #[test]
    fn a_killed_holder_leaves_nothing() {
        use std::io::BufRead;
        use std::process::{Command, Stdio};

        let place = tempfile::tempdir().unwrap();
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("ports::lease::tests::holds_until_it_is_killed")
            .env("LEASE_FOLDER", place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(holder.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "taken"));
        let leases = LeaseFolder::open(place.path()).unwrap();
        assert_eq!(leases.holder(20_000), Some(Some("/killed".into())));
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_eq!(leases.holder(20_000), None);
        assert!(matches!(leases.take(20_000, Path::new("/y")), Leasing::Taken(_)));
    }

    #[test]
    fn the_label_of_a_dead_holder_is_not_believed() {
        let place = tempfile::tempdir().unwrap();
        let leases = LeaseFolder::open(place.path()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        let path = place.path().join("20000.lock");
        let file = std::fs::File::create(&path).unwrap();
        std::fs::write(&path, format!(r#"{{"pid":{dead},"folder":"/old"}}"#)).unwrap();
        file.lock().unwrap();
        assert!(matches!(leases.take(20_000, Path::new("/y")), Leasing::Held(None)));
        for garbage in
            ["", "{", "\0\u{1}", r#"{"pid":0,"folder":"/x"}"#, r#"{"pid":-1,"folder":"/"}"#]
        {
            std::fs::write(&path, garbage).unwrap();
            assert!(matches!(leases.take(20_000, Path::new("/y")), Leasing::Held(None)));
        }
    }

    #[test]
    fn the_folder_is_private_and_must_be_a_folder() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("leases");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        LeaseFolder::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);

        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        LeaseFolder::open(&file).unwrap_err();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        LeaseFolder::open(&link).unwrap_err();
    }
}
