use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::display_home_relative;
use super::holders::{holder, system};
#[cfg(target_os = "linux")]
pub use super::lease_file::label_of;
use super::lease_file::{LeaseLabel, parse_label, read_label, write_label};
use crate::regular_file::open_lock;
use crate::text::escape_control;
use std::fmt;

/// A port that no other devstack takes while this value lives. The kernel releases it when the
/// process dies in any way, because lock and announcement belong to open files. (A forked child
/// that never execs would keep the lease; nothing forks once leases exist.)
#[derive(Debug)]
pub struct PortLease {
    /// Makes the lease visible to other users, where the system supports it. Dropped before the
    /// file, which proves it.
    announcement: Option<OwnedFd>,
    file: File,
    label: LeaseLabel,
    /// What announces the same port without being a devstack, as text.
    disputed_by: Option<String>,
}

impl PortLease {
    /// Names the service that has the port, for the messages of other devstacks.
    pub fn set_service(&mut self, stack: Option<&str>, service: &str) {
        let (stack, service) = (stack.map(str::to_owned), Some(service.to_owned()));
        let label = LeaseLabel { stack, service, ..self.label.clone() };
        if label != self.label {
            write_label(&self.file, &label);
            self.label = label;
        }
    }

    pub fn disputed_by(&self) -> Option<&str> {
        self.disputed_by.as_deref()
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        // The label counts while the file is locked, so the next owner could briefly be taken for
        // us. Overwriting one byte makes it invalid. Errors do not matter.
        self.file.write_all_at(b" ", 0).ok();
    }
}

#[derive(Debug)]
pub enum LeaseAttempt {
    Taken(PortLease),
    Held(LeaseOwner),
    /// Leases do not work here, for example because the disk is full.
    Failed(io::Error),
}

/// A directory with one lock file per port, shared by all devstacks of a user. Files are never
/// deleted: they are small, and on ext4 re-creating a name deleted seconds ago takes a millisecond,
/// which would slow down restarts of large stacks.
#[derive(Debug, Clone)]
pub struct LeaseDir {
    path: PathBuf,
    /// How many of [`NAME_PAUSES`] are left.
    pauses: Arc<AtomicUsize>,
}

/// What announces a port. Any process can: it only takes a name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has announcements"))]
pub enum Announcer {
    /// A devstack, as far as this user can see.
    Devstack(LeaseOwner),
    /// Another process, as text.
    Other(String),
}

/// Which announcements keep a stack from a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Believe {
    All,
    /// None of other users, which cannot be proved.
    ThisUser,
}

enum LockAttempt {
    /// Locked, and still the file of that port.
    Ours(File),
    Theirs(File),
    /// Deleted before it was locked.
    Removed,
}

/// How often to retry if the file was deleted, or is locked without a valid label. The latter lasts
/// microseconds when another process only checks the lock.
const TRIES: usize = 8;

/// How often to wait, for all ports together, for a name that something has without listening. A
/// busy machine may keep a devstack from listening for a while; other programs may keep many names
/// like this for good.
const NAME_PAUSES: usize = 100;
const NAME_PAUSE: Duration = Duration::from_millis(2);

impl LeaseDir {
    /// Creates the directory with mode 0700 if missing. Fails if another user owns it.
    pub fn open(path: &Path) -> io::Result<LeaseDir> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let leases = LeaseDir::check(path)?;
        if path.symlink_metadata()?.mode() & 0o077 != 0 {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o700))?;
        }
        Ok(leases)
    }

    /// Opens an existing directory for reading; `None` if there is none that can be trusted.
    pub fn find(path: &Path) -> Option<LeaseDir> {
        LeaseDir::check(path).ok()
    }

    fn check(path: &Path) -> io::Result<LeaseDir> {
        let found = path.symlink_metadata()?;
        if !found.is_dir() {
            return Err(io::Error::other("not a directory"));
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("owned by another user"));
        }
        Ok(LeaseDir { path: path.to_owned(), pauses: Arc::new(AtomicUsize::new(NAME_PAUSES)) })
    }

    #[cfg(test)]
    pub(crate) fn take(&self, port: u16, dir: &Path) -> LeaseAttempt {
        self.take_believing(Believe::All, port, dir)
    }

    /// Tries to lease `port`; some announcements may be disregarded. All calls together wait in vain
    /// only a fixed number of times.
    pub fn take_believing(&self, believe: Believe, port: u16, dir: &Path) -> LeaseAttempt {
        for _ in 0..TRIES {
            match self.lock(port) {
                Ok(LockAttempt::Ours(file)) => {
                    return announce_lease(file, port, dir, believe, &self.pauses);
                }
                Ok(LockAttempt::Theirs(file)) => {
                    if let Some(label) = read_label(&file) {
                        return LeaseAttempt::Held(LeaseOwner::this_user(label));
                    }
                    std::thread::yield_now();
                }
                Ok(LockAttempt::Removed) => {}
                Err(error) => return LeaseAttempt::Failed(error),
            }
        }
        LeaseAttempt::Held(LeaseOwner::default())
    }

    /// Returns the devstack that has `port`, if there is one.
    pub fn owner(&self, port: u16) -> Option<LeaseOwner> {
        let file = open_lock(&self.file_of(port), false).ok()?;
        match file.try_lock_shared() {
            // Closing the file releases the lock immediately.
            Ok(()) | Err(TryLockError::Error(_)) => None,
            Err(TryLockError::WouldBlock) => {
                Some(read_label(&file).map(LeaseOwner::this_user).unwrap_or_default())
            }
        }
    }

    /// Returns lock files that are locked although their devstack is dead: another process has them
    /// open and blocks the port for every devstack. Changes nothing.
    pub fn stale(&self) -> Vec<(u16, PathBuf)> {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let port = |entry: std::fs::DirEntry| {
            entry.file_name().to_str()?.strip_suffix(".lock")?.parse::<u16>().ok()
        };
        let mut stale: Vec<(u16, PathBuf)> = entries
            .filter_map(port)
            .filter(|port| (0..TRIES).all(|_| self.is_stale(*port)))
            .map(|port| (port, self.file_of(port)))
            .collect();
        stale.sort();
        stale
    }

    /// Also true for a file just locked, until its owner has written its label.
    fn is_stale(&self, port: u16) -> bool {
        let Ok(file) = open_lock(&self.file_of(port), false) else { return false };
        let locked = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        let stale = locked && parse_label(&file).is_some_and(|label| !label.lives());
        if stale {
            std::thread::yield_now();
        }
        stale
    }

    fn lock(&self, port: u16) -> io::Result<LockAttempt> {
        let path = self.file_of(port);
        let file = open_lock(&path, true)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(LockAttempt::Theirs(file)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let locked = file.metadata()?;
        match path.symlink_metadata() {
            Ok(found) if (found.dev(), found.ino()) == (locked.dev(), locked.ino()) => {
                Ok(LockAttempt::Ours(file))
            }
            Ok(_) => Ok(LockAttempt::Removed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(LockAttempt::Removed),
            Err(error) => Err(error),
        }
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn has_pauses(&self) -> bool {
        self.pauses.load(Ordering::Relaxed) > 0
    }

    fn file_of(&self, port: u16) -> PathBuf {
        self.path.join(format!("{port}.lock"))
    }
}

/// Returns the devstack that has leased `port`, of this user or another one.
pub fn owner_of_lease(leases: Option<&LeaseDir>, port: u16) -> Option<LeaseOwner> {
    leases.and_then(|leases| leases.owner(port)).or_else(|| match system::announcer(port)? {
        Announcer::Devstack(owner) => Some(owner),
        Announcer::Other(_) => None,
    })
}

/// Creates the lease, unless a devstack with another lease directory has announced the port.
fn announce_lease(
    file: File,
    port: u16,
    dir: &Path,
    believe: Believe,
    pauses: &AtomicUsize,
) -> LeaseAttempt {
    let label = LeaseLabel::of(dir);
    // First, so that what is announced can be looked up.
    write_label(&file, &label);
    let mut lease = PortLease { file, label, announcement: None, disputed_by: None };
    let mut waited = 0;
    let attempt = loop {
        if let Ok(announcement) = system::announce(port) {
            lease.announcement = announcement;
            break LeaseAttempt::Taken(lease);
        }
        lease.disputed_by = match system::announcer(port) {
            Some(Announcer::Devstack(owner))
                if believe == Believe::All || !owner.is_other_user() =>
            {
                break LeaseAttempt::Held(owner);
            }
            Some(Announcer::Devstack(owner)) => Some(owner.to_string()),
            Some(Announcer::Other(process)) => Some(process),
            None => None,
        };
        if lease.disputed_by.is_some() {
            break LeaseAttempt::Taken(lease);
        }
        // It has the name and does not listen: it is about to, or has just gone.
        let one_less = |left: usize| left.checked_sub(1);
        if pauses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            // A busy machine can keep it from listening for longer.
            if let Some(owner) = system::labelled_lease(port) {
                return LeaseAttempt::Held(owner);
            }
            lease.disputed_by = Some("an unknown process".to_owned());
            return LeaseAttempt::Taken(lease);
        }
        waited += 1;
        #[expect(clippy::disallowed_methods, reason = "off the loop; a name gives no event")]
        std::thread::sleep(NAME_PAUSE);
    };
    // Only what was waited in vain counts.
    pauses.fetch_add(waited, Ordering::Relaxed);
    attempt
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::{LeaseAttempt, LeaseDir, LockAttempt};
    use crate::ports::LeaseOwner;

    /// The first of 16 ports that no other test process leases, because leases are visible on the whole
    /// machine; each test has its own. They are ephemeral, so devstack never assigns them.
    pub fn numbers() -> u16 {
        33_000 + u16::try_from(std::process::id() % 1_500).unwrap() * 16
    }

    /// Waits: a closed file may stay open briefly in a child that another test is spawning.
    #[track_caller]
    pub fn soon(mut style: impl FnMut() -> bool) {
        let begin = std::time::Instant::now();
        while !style() {
            assert!(begin.elapsed().as_secs() < 30, "it does not come true");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_lease_excludes_others_until_it_is_dropped_and_says_who_has_it() {
        let place = tempfile::tempdir().unwrap();
        let number = numbers();
        let first = LeaseDir::open(&place.path().join("a/leases")).unwrap();
        let second = LeaseDir::open(&place.path().join("a/leases")).unwrap();
        let LeaseAttempt::Taken(lease) = first.take(number, Path::new("/home/x/shop")) else {
            panic!("a fresh directory has no leases");
        };
        match second.take(number, Path::new("/y")) {
            LeaseAttempt::Held(lease_owner) => {
                assert_eq!(lease_owner.dir, Some("/home/x/shop".into()))
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(second.owner(number).unwrap().dir, Some("/home/x/shop".into()));
        assert!(matches!(second.take(number + 1, Path::new("/y")), LeaseAttempt::Taken(_)));
        drop(lease);
        soon(|| second.owner(number).is_none());
        soon(|| matches!(second.take(number, Path::new("/y")), LeaseAttempt::Taken(_)));
    }

    #[test]
    fn a_lock_that_outlives_its_devstack_is_stale_and_others_are_not() {
        let place = tempfile::tempdir().unwrap();
        let leases = LeaseDir::open(place.path()).unwrap();
        let number = numbers() + 3;
        let LeaseAttempt::Taken(_lease) = leases.take(number, Path::new("/x")) else {
            panic!("it is free")
        };
        assert_eq!(leases.stale(), []);
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let label = |pid: u32| format!(r#"{{"pid":{pid},"folder":"/gone"}}"#);
        let file = |number: u16, label: String| {
            let path = place.path().join(format!("{number}.lock"));
            std::fs::write(&path, label).unwrap();
            std::fs::File::open(path).unwrap()
        };
        // Not locked, so its content does not matter.
        let _unlocked = file(7, label(gone.id()));
        // Its owner has not written its label yet.
        let unsaid = file(8, String::new());
        unsaid.lock().unwrap();
        let stale = file(9, label(gone.id()));
        stale.lock().unwrap();
        std::fs::write(place.path().join("notes.lock"), "").unwrap();
        assert_eq!(leases.stale(), [(9, place.path().join("9.lock"))]);
    }

    #[test]
    fn a_lease_says_for_which_service_it_is() {
        let place = tempfile::tempdir().unwrap();
        let leases = LeaseDir::open(place.path()).unwrap();
        let number = numbers() + 2;
        let mut taken = None;
        soon(|| {
            if let LeaseAttempt::Taken(lease) = leases.take(number, Path::new("/srv/x")) {
                taken = Some(lease);
            }
            taken.is_some()
        });
        let mut lease = taken.unwrap();
        lease.set_service(Some("shop"), "a-long-name");
        lease.set_service(Some("shop"), "web");
        let owner = leases.owner(number).unwrap();
        assert_eq!(owner.to_string(), "service web of stack shop in /srv/x");
    }

    #[test]
    #[ignore = "the holder of `a_killed_holder_leaves_nothing`, which starts it"]
    fn holds_until_it_is_killed() {
        let Some(place) = std::env::var_os("LEASE_DIR") else { return };
        let number = std::env::var("LEASE_NUMBER").unwrap().parse().unwrap();
        let leases = LeaseDir::open(Path::new(&place)).unwrap();
        let lease = leases.take(number, Path::new("/killed"));
        assert!(matches!(lease, LeaseAttempt::Taken(_)));
        println!("\ntaken");
        // Exits with the other test, even if that one fails or is killed.
        std::io::stdin().lines().for_each(drop);
    }

    #[test]
    fn a_killed_holder_leaves_nothing() {
        use std::io::BufRead;
        use std::process::{Command, Stdio};

        let place = tempfile::tempdir().unwrap();
        let number = numbers() + 8;
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("ports::lease::tests::holds_until_it_is_killed")
            .env("LEASE_DIR", place.path())
            .env("LEASE_NUMBER", number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(holder.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "taken"));
        let leases = LeaseDir::open(place.path()).unwrap();
        assert_eq!(leases.owner(number).unwrap().dir, Some("/killed".into()));
        holder.kill().unwrap();
        holder.wait().unwrap();
        soon(|| leases.owner(number).is_none());
        soon(|| matches!(leases.take(number, Path::new("/y")), LeaseAttempt::Taken(_)));
    }

    #[test]
    fn the_label_of_a_dead_holder_is_not_believed() {
        let place = tempfile::tempdir().unwrap();
        let number = numbers() + 9;
        let leases = LeaseDir::open(place.path()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        let path = place.path().join(format!("{number}.lock"));
        let file = std::fs::File::create(&path).unwrap();
        std::fs::write(&path, format!(r#"{{"pid":{dead},"folder":"/old"}}"#)).unwrap();
        file.lock().unwrap();
        assert!(matches!(
            leases.take(number, Path::new("/y")),
            LeaseAttempt::Held(LeaseOwner { dir: None, .. })
        ));
        for garbage in
            ["", "{", "\0\u{1}", r#"{"pid":0,"folder":"/x"}"#, r#"{"pid":-1,"folder":"/"}"#]
        {
            std::fs::write(&path, garbage).unwrap();
            assert!(matches!(
                leases.take(number, Path::new("/y")),
                LeaseAttempt::Held(LeaseOwner { dir: None, .. })
            ));
        }
    }

    #[test]
    fn the_directory_is_private_and_must_be_a_directory() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("leases");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        LeaseDir::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);

        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        LeaseDir::open(&file).unwrap_err();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        LeaseDir::open(&link).unwrap_err();
    }

    #[test]
    fn a_lease_is_seen_from_another_directory_and_its_label_is_replaced() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let number = numbers() + 4;
        let first = LeaseDir::open(one.path()).unwrap();
        let second = LeaseDir::open(two.path()).unwrap();
        let LeaseAttempt::Taken(lease) = first.take(number, Path::new("/srv/one")) else {
            panic!()
        };
        if cfg!(target_os = "linux") {
            match second.take(number, Path::new("/srv/two")) {
                LeaseAttempt::Held(owner) => {
                    assert_eq!(owner.dir, Some("/srv/one".into()));
                    assert_eq!(owner.pid, Some(std::process::id()));
                }
                other => panic!("{other:?}"),
            }
        }
        drop(lease);
        let took = |leases: &LeaseDir, dir: &Path| {
            let mut lease = None;
            soon(|| match leases.take(number, dir) {
                LeaseAttempt::Taken(taken) => lease.replace(taken).is_none(),
                LeaseAttempt::Held(_) | LeaseAttempt::Failed(_) => false,
            });
            lease
        };
        took(&second, Path::new("/srv/two"));
        // A shorter path over a longer one, and one without a JSON form over both.
        for (dir, status) in [("/a/long/name", "/a/long/name"), ("/b", "/b")] {
            let _lease = took(&first, Path::new(dir));
            assert_eq!(first.owner(number).unwrap().dir, Some(status.into()));
        }
        let unspeakable = std::ffi::OsStr::from_bytes(b"/\xff");
        let _lease = took(&first, Path::new(unspeakable));
        assert_eq!(first.owner(number), Some(LeaseOwner::default()));
    }

    /// Many threads lease a port while its file is deleted again and again: a lease has the current
    /// file.
    #[test]
    fn a_file_that_is_removed_under_ones_hands_is_no_lease() {
        use std::os::unix::fs::MetadataExt;
        const THREADS: usize = 4;
        const TURNS: usize = 200;
        let place = tempfile::tempdir().unwrap();
        let number = numbers() + 5;
        let leases = LeaseDir::open(place.path()).unwrap();
        let mut removed = 0;
        std::thread::scope(|scope| {
            let claim = || {
                let (mut turns, mut removed) = (0, 0);
                while turns < TURNS {
                    match leases.lock(number).unwrap() {
                        LockAttempt::Ours(file) => {
                            // Only the lock's owner deletes the file, so it must be the same one.
                            let path = leases.file_of(number);
                            let found = path.metadata().unwrap().ino();
                            assert_eq!(found, file.metadata().unwrap().ino());
                            std::fs::remove_file(path).unwrap();
                            turns += 1;
                        }
                        LockAttempt::Theirs(_) => std::thread::yield_now(),
                        LockAttempt::Removed => removed += 1,
                    }
                }
                removed
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(claim)).collect();
            removed = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        });
        println!("a removed file was locked {removed} times");
    }
}

/// A devstack that leased a port. Unknown facts are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseOwner {
    /// Its project directory.
    #[serde(rename = "folder")]
    pub dir: Option<PathBuf>,
    /// The name of its stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Its pid, if it belongs to another user or its directory is unknown.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// The name of that user.
    pub user: Option<String>,
}

impl LeaseOwner {
    fn this_user(label: LeaseLabel) -> LeaseOwner {
        let LeaseLabel { dir, stack, service, .. } = label;
        LeaseOwner { dir, stack, service, ..LeaseOwner::default() }
    }

    #[cfg_attr(
        all(not(target_os = "linux"), not(test)),
        expect(dead_code, reason = "only Linux shows leases of other users")
    )]
    pub(super) fn process(
        pid: Option<u32>,
        uid: Option<u32>,
        label: Option<LeaseLabel>,
    ) -> LeaseOwner {
        let known = label.map(LeaseOwner::this_user).unwrap_or_default();
        LeaseOwner { pid, uid, user: uid.and_then(holder::user_name), ..known }
    }

    /// Whether it is known to belong to another user.
    pub fn is_other_user(&self) -> bool {
        self.uid.is_some_and(|uid| uid != rustix::process::geteuid().as_raw())
    }
}

/// `service api of stack shop in ~/shop`, `a stack of user alice (pid 4100)`, …
impl fmt::Display for LeaseOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = self.uid.filter(|_| self.is_other_user());
        match (&self.service, &self.stack, other) {
            (Some(service), Some(stack), _) => {
                let [service, stack] = [service, stack].map(|name| escape_control(name));
                write!(f, "service {service} of stack {stack}")?;
            }
            (_, _, Some(_)) => f.write_str("a stack")?,
            (_, _, None) => f.write_str("another stack")?,
        }
        match (&self.user, other) {
            (Some(user), Some(_)) => write!(f, " of user {user}")?,
            (None, Some(uid)) => write!(f, " of user {uid}")?,
            (_, None) => {}
        }
        match (&self.dir, self.pid) {
            (Some(dir), _) => write!(f, " in {}", display_home_relative(dir)),
            (None, Some(pid)) => write!(f, " (pid {pid})"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod lessee_tests {
    use std::path::Path;

    use super::{LeaseLabel, LeaseOwner};

    #[test]
    fn a_lessee_is_said_as_far_as_it_is_known() {
        let me = rustix::process::geteuid().as_raw();
        let strange =
            |pid| LeaseOwner { user: None, ..LeaseOwner::process(pid, Some(me + 7), None) };
        let label = LeaseLabel::of(Path::new("/srv/x"));
        let named = LeaseLabel {
            stack: Some("shop".to_owned()),
            service: Some("web".to_owned()),
            ..label.clone()
        };
        let foreign = LeaseOwner {
            user: None,
            ..LeaseOwner::process(Some(7), Some(me + 7), Some(named.clone()))
        };
        for (owner, status) in [
            (LeaseOwner::default(), "another stack".to_owned()),
            (LeaseOwner::this_user(label), "another stack in /srv/x".to_owned()),
            (LeaseOwner::this_user(named), "service web of stack shop in /srv/x".to_owned()),
            (foreign, format!("service web of stack shop of user {} in /srv/x", me + 7)),
            (LeaseOwner::process(Some(7), Some(me), None), "another stack (pid 7)".to_owned()),
            (strange(Some(7)), format!("a stack of user {} (pid 7)", me + 7)),
            (strange(None), format!("a stack of user {}", me + 7)),
        ] {
            assert_eq!(owner.to_string(), status);
        }
        let alice = LeaseOwner { user: Some("alice".to_owned()), ..strange(Some(9)) };
        assert_eq!(alice.to_string(), "a stack of user alice (pid 9)");
    }
}
