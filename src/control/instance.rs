use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use xxhash_rust::xxh3::xxh3_64;

use super::holder::Holder;
use super::places::Places;
use crate::model::{Class, Message};

/// How often a lock is tried again that is held by those who look, each for some microseconds.
const TRIES: u32 = 500;
/// How often the name of a holder that has only just taken the lock is read again.
const NAME_TRIES: u32 = 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(2);
/// The name of the file that makes a folder a project.
const PROJECT_FILE: &str = "devstack.toml";

/// The right to be the devstack of a folder. Ends with the process, however it ends: the lock is the
/// kernel's, so a stale file never keeps anybody out.
#[derive(Debug)]
pub struct Instance {
    lock: File,
    socket: PathBuf,
    holder: Holder,
    /// The folder itself. While it is open the system gives its number to no other folder, also when it is
    /// deleted, and can tell where it was moved to.
    _folder: Option<File>,
}

/// Another devstack runs in this folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Its process id; 0 when it has just started and not said yet, or is about to be gone.
    pub pid: u32,
    /// The name of its stack; empty when it has not said yet.
    pub stack: String,
    /// When it was started.
    pub since: SystemTime,
}

/// Why a folder could not be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimError {
    /// Another devstack runs here.
    Busy(Busy),
    /// The lock could not be had for another reason.
    Failed(Message),
}

/// A devstack that runs.
#[derive(Debug, Clone)]
pub struct Found {
    /// The folder it runs in.
    pub dir: PathBuf,
    /// Its socket.
    pub socket: PathBuf,
    /// What it says about itself; `None` in the moment it starts.
    pub holder: Option<Holder>,
    lock: PathBuf,
}

impl ClaimError {
    /// What to tell people.
    pub fn message(&self) -> Message {
        match self {
            ClaimError::Busy(busy) => busy.message(),
            ClaimError::Failed(message) => message.clone(),
        }
    }

    /// With which code `up` ends.
    pub fn exit_code(&self) -> i32 {
        match self {
            ClaimError::Busy(_) => crate::error::exit::BUSY,
            ClaimError::Failed(_) => crate::error::exit::FAILED,
        }
    }
}

impl Busy {
    /// What to tell people who wanted to start one.
    pub fn message(&self) -> Message {
        Message::new(Class::Busy, self.to_string())
            .help("`devstack ps` and `devstack logs -f` show it, `devstack down` stops it")
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => f.write_str("a stack is just starting or ending here"),
            pid => write!(f, "a stack already runs here: {} (pid {pid})", self.stack),
        }
    }
}

impl Instance {
    /// Becomes the devstack of `project_dir`, unless there is one. Waits a few hundredths of a
    /// second at most. Symlinks, bind mounts and a folder that was moved are the same project.
    pub fn claim(project_dir: &Path, stack: &str) -> Result<Instance, ClaimError> {
        Instance::claim_in(&Places::of_this_user(), project_dir, stack)
    }

    pub(super) fn claim_in(
        places: &Places,
        project_dir: &Path,
        stack: &str,
    ) -> Result<Instance, ClaimError> {
        let trouble = |error| ClaimError::Failed(cannot_claim(project_dir, &error));
        let id = identity(project_dir, places.uid).map_err(trouble)?;
        let runtime = places.runtime_dir().map_err(ClaimError::Failed)?;
        let path = lock_path(&runtime, &id);
        if let Some(other) = elsewhere(places, &runtime, &id) {
            return Err(ClaimError::Busy(busy(&other)));
        }
        let lock = open_lock(&path, true).map_err(trouble)?;
        if !try_lock(&lock).map_err(trouble)? {
            return Err(ClaimError::Busy(busy(&lock)));
        }
        let holder = Holder::this_process(project_dir, stack);
        holder.write(&lock).map_err(trouble)?;
        let _folder = File::open(project_dir).ok();
        Ok(Instance { lock, socket: path.with_extension("sock"), holder, _folder })
    }

    /// Says with what every process of the stack is marked from now on.
    pub fn mark(&self, token: &str) -> io::Result<()> {
        Holder { token: Some(token.to_owned()), ..self.holder.clone() }.write(&self.lock)
    }

    /// Where the socket is, or will be.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Opens the socket, in place of one that an earlier devstack left. Non-blocking.
    pub fn listen(&self) -> io::Result<UnixListener> {
        match fs::remove_file(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&self.socket)?;
        // The folder keeps others out already; this is for those who copy the socket's path.
        fs::set_permissions(&self.socket, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Lets everything go but the lock, which this process now keeps to its very end: whoever waits for the lock may
    /// rely on it that nothing of this devstack is left. Dropping it gives the folder back at once.
    pub fn end_with_process(self) {
        self.leave();
        std::mem::forget(self);
    }

    /// What others would take for a sign of one that runs, or was killed.
    fn leave(&self) {
        let _ = fs::remove_file(&self.socket);
        let _ = self.lock.set_len(0);
    }

    /// The devstack that runs in `start_dir` or the nearest folder above it. The search ends at a
    /// folder with a `devstack.toml`: a project that does not run never means the one around it.
    pub fn find(start_dir: &Path) -> Option<Found> {
        Instance::find_in(&Places::of_this_user(), start_dir)
    }

    pub(super) fn find_in(places: &Places, start_dir: &Path) -> Option<Found> {
        let folders = places.runtime_dirs();
        let Ok(start) = fs::canonicalize(start_dir) else {
            // The folder that somebody stands in may be deleted: it has no name any more, but is still the same.
            let id = identity(start_dir, places.uid).ok()?;
            return folders.iter().find_map(|runtime| running(start_dir, runtime, &id));
        };
        for dir in start.ancestors() {
            let Ok(id) = identity(dir, places.uid) else { continue };
            if let Some(found) = folders.iter().find_map(|runtime| running(dir, runtime, &id)) {
                return Some(found);
            }
            if dir.join(PROJECT_FILE).exists() {
                return None;
            }
        }
        None
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // While the lock is still ours. The lock file stays: removing it would let two
        // devstacks hold two files of the same name.
        self.leave();
    }
}

impl Found {
    /// Of this folder, by its lock, which is held.
    pub(super) fn new(dir: &Path, path: PathBuf, lock: &File) -> Found {
        Found {
            dir: dir.to_owned(),
            socket: path.with_extension("sock"),
            holder: Holder::read(lock),
            lock: path,
        }
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        open_lock(&self.lock, false).is_ok_and(|lock| is_held(&lock))
    }

    /// Blocks until it has ended, however long that takes.
    pub fn wait_until_ended(&self) -> io::Result<()> {
        match open_lock(&self.lock, false) {
            Ok(lock) => lock.lock_shared(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What a project is called among locks: the folder itself, not one of its names, and the user.
pub(super) fn identity(dir: &Path, uid: u32) -> io::Result<String> {
    identity_of(&fs::metadata(dir)?, uid).ok_or(io::Error::from(io::ErrorKind::NotADirectory))
}

/// The same of what was looked at; `None` when that is no folder.
pub(super) fn identity_of(found: &Metadata, uid: u32) -> Option<String> {
    if !found.is_dir() {
        return None;
    }
    let mut key = [0; 20];
    key[..8].copy_from_slice(&found.dev().to_le_bytes());
    key[8..16].copy_from_slice(&found.ino().to_le_bytes());
    key[16..].copy_from_slice(&uid.to_le_bytes());
    Some(format!("{:016x}", xxh3_64(&key)))
}

fn lock_path(runtime: &Path, id: &str) -> PathBuf {
    runtime.join(format!("{id}.lock"))
}

pub(super) fn open_lock(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(create)
        .create(create)
        .mode(0o600)
        // A pipe of that name would be waited for.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path)
}

/// Takes the lock; false when a devstack holds it.
pub(super) fn try_lock(lock: &File) -> io::Result<bool> {
    for _ in 0..TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if is_held(lock) => return Ok(false),
            // Only those who look have it.
            #[expect(
                clippy::disallowed_methods,
                reason = "before the loop runs; a lock gives no event"
            )]
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Whether a devstack holds the lock. Shared, so that those who look do not see each other.
pub(super) fn is_held(lock: &File) -> bool {
    match lock.try_lock_shared() {
        Ok(()) => {
            // Closing would do as well, but later.
            let _ = lock.unlock();
            false
        }
        Err(TryLockError::Error(_)) => false,
        Err(TryLockError::WouldBlock) => true,
    }
}

/// The lock of a devstack of this project that was started with another environment.
pub(super) fn elsewhere(places: &Places, runtime: &Path, id: &str) -> Option<File> {
    let mut folders = places.runtime_dirs();
    folders.retain(|dir| dir != runtime);
    let locks = folders.iter().filter_map(|dir| open_lock(&lock_path(dir, id), false).ok());
    locks.into_iter().find(is_held)
}

fn running(dir: &Path, runtime: &Path, id: &str) -> Option<Found> {
    let path = lock_path(runtime, id);
    let lock = open_lock(&path, false).ok()?;
    is_held(&lock).then(|| Found::new(dir, path, &lock))
}

/// Who holds the lock. Waits a moment for one that has taken it and not written its name yet: until
/// then the file is empty, or names one that was killed. It is empty again when the holder ends.
fn busy(lock: &File) -> Busy {
    let mut holder = None;
    for _ in 0..NAME_TRIES {
        holder = Holder::read(lock);
        if holder.as_ref().is_some_and(Holder::is_alive) {
            break;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "before the loop runs; a lock gives no event"
        )]
        thread::sleep(PAUSE);
    }
    match holder {
        Some(holder) => Busy { pid: holder.pid, since: holder.since(), stack: holder.stack },
        None => Busy { pid: 0, stack: String::new(), since: SystemTime::now() },
    }
}

fn cannot_claim(dir: &Path, error: &io::Error) -> Message {
    let text = format!("cannot lock the folder {}: {error}", dir.display());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Message::new(Class::Usage, text),
        _ => Message::new(Class::Denied, text).help("set XDG_RUNTIME_DIR to a folder of your own"),
    }
}
