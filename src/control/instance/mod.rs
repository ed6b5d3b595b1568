mod crashed;
mod dir_lock;
mod held_locks;
mod kept_data;
mod located;
mod project_dir;
mod project_record;
mod record;
mod user_dirs;

pub use crashed::CrashedInstance;
use dir_lock::{DirLock, DirLockError};
use held_locks::HeldLocks;
pub use kept_data::{DataOwner, DataPlaces, KeptData};
pub use located::LocatedInstance;
pub use project_dir::ProjectDir;
pub use project_record::ProjectRecord;
pub use record::InstanceRecord;
use user_dirs::ONLY_DIR;
pub(crate) use user_dirs::UserDirs;
pub use user_dirs::{CaDir, RuntimeDir, StateDir};

use std::fs::{self, File, Metadata, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, io, thread};

use xxhash_rust::xxh3::xxh3_64;

use crate::model::{CONFIG_FILES, Message, MessageClass};
use crate::regular_file::{open_dir, open_lock};
use crate::sync::lock_unpoisoned;
use crate::sys::private_socket::listen_privately;

/// How often to retry a lock that other processes hold only to inspect it, each for microseconds.
const TRIES: u32 = 500;
/// How often to read the record of a devstack that has only just taken the lock.
const NAME_TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(2);

/// The right to be the devstack of a directory. It ends with the process, even after SIGKILL: the
/// kernel owns the lock, so a stale lock file blocks nothing.
#[derive(Debug)]
pub struct InstanceLock {
    held: Arc<Mutex<HeldLocks>>,
    socket: PathBuf,
    /// Marks what a devstack has left that was killed in this directory.
    left_token: Option<String>,
    /// The project directory. While it is open, its inode number is not reused, even after
    /// deletion, and the system can tell where it was moved.
    _project: Option<File>,
}

/// Another devstack runs in this directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlreadyRunning {
    /// It has not written its record yet, or is about to exit.
    Starting,
    /// It wrote this record.
    Running(Box<InstanceRecord>),
    /// It uses another runtime directory, which commands in this environment do not search. The
    /// record is missing if the project directory cannot be written.
    Elsewhere(Option<Box<InstanceRecord>>),
}

/// Why a directory could not be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimError {
    /// Another devstack runs here.
    Busy(AlreadyRunning),
    /// The lock could not be taken for another reason.
    Failed(Message),
}

/// A running devstack.
#[derive(Debug, Clone)]
pub struct RunningInstance {
    /// Its project directory.
    pub dir: PathBuf,
    pub socket: PathBuf,
    /// The record in its lock file; `None` at the moment it starts.
    pub holder: Option<InstanceRecord>,
    lock: PathBuf,
}

impl ClaimError {
    /// Returns the message for the user.
    pub fn message(&self) -> Message {
        match self {
            ClaimError::Busy(busy) => busy.message(),
            ClaimError::Failed(message) => message.clone(),
        }
    }
}

impl AlreadyRunning {
    /// Returns the message for an attempt to start another one.
    pub fn message(&self) -> Message {
        let here = "see it with `devstack ps` or `devstack logs -f`, stop it with `devstack down`";
        let socket = match self {
            AlreadyRunning::Starting | AlreadyRunning::Running(_) => {
                return Message::new(MessageClass::Busy, self.to_string()).help(here);
            }
            AlreadyRunning::Elsewhere(holder) => holder.as_ref().and_then(|it| it.socket.as_ref()),
        };
        let runtime = socket.and_then(|socket| Path::new(socket).parent());
        let help = match runtime {
            Some(dir) => {
                let dir = shell_words::quote(&dir.to_string_lossy()).into_owned();
                format!("stop it with `{ONLY_DIR}={dir} devstack down`")
            }
            None => "stop it with `devstack down` in the environment that started it".to_owned(),
        };
        Message::new(MessageClass::Busy, self.to_string()).help(help)
    }
}

impl fmt::Display for AlreadyRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AlreadyRunning::Starting => {
                f.write_str("a stack is starting or stopping in this directory")
            }
            AlreadyRunning::Running(holder) => {
                let InstanceRecord { pid, stack, .. } = &**holder;
                write!(f, "a stack is already running in this directory: {stack} (pid {pid})")
            }
            AlreadyRunning::Elsewhere(holder) => {
                f.write_str("a stack is already running in this directory")?;
                if let Some(InstanceRecord { pid, stack, .. }) = holder.as_deref() {
                    write!(f, ": {stack} (pid {pid})")?;
                }
                f.write_str(", started with another HOME or runtime directory")
            }
        }
    }
}

impl InstanceLock {
    /// Claims `project_dir`, unless another devstack has it. Waits a few hundredths of a second at
    /// most. Symlinks, bind mounts and a moved directory count as the same project.
    pub fn claim(project_dir: &Path, stack: &str) -> Result<InstanceLock, ClaimError> {
        InstanceLock::claim_in(&UserDirs::of_this_user(), project_dir, stack)
    }

    pub(super) fn claim_in(
        places: &UserDirs,
        project_dir: &Path,
        stack: &str,
    ) -> Result<InstanceLock, ClaimError> {
        let trouble = |error| ClaimError::Failed(cannot_claim(project_dir, &error));
        let id = directory_id(project_dir, places.uid).map_err(trouble)?;
        let runtime = places.runtime_dir().map_err(ClaimError::Failed)?;
        let path = lock_path(&runtime, &id);
        if let Some(other) = other_runtime_lock(places, &runtime, &id) {
            return Err(ClaimError::Busy(already_running(&other)));
        }
        let lock = open_lock(&path, true).map_err(trouble)?;
        if !try_lock(&lock).map_err(trouble)? {
            return Err(ClaimError::Busy(already_running(&lock)));
        }
        let mut locked_dir = None;
        let dir_lock = match DirLock::take(places, project_dir, &mut locked_dir) {
            Ok(dir_lock) => Some(dir_lock),
            Err(DirLockError::NoLocks) => None,
            Err(DirLockError::Busy(holder)) => {
                return Err(ClaimError::Busy(match holder {
                    Some(holder) if !places.is_only() => AlreadyRunning::Running(holder),
                    Some(_) | None => AlreadyRunning::Elsewhere(holder),
                }));
            }
        };
        let socket = path.with_extension("sock");
        let left_token = InstanceRecord::read(&lock).and_then(|killed| killed.token);
        let mut holder = InstanceRecord::this_process(project_dir, stack, &socket);
        holder.token.clone_from(&left_token);
        let places = places.clone();
        let (robbed, ended, unclean) = (false, false, left_token.is_some());
        let held = HeldLocks { lock, dir_lock, locked_dir, robbed, holder, places, ended, unclean };
        held.write().map_err(trouble)?;
        let _project = open_dir(project_dir).ok();
        Ok(InstanceLock { held: Arc::new(Mutex::new(held)), socket, left_token, _project })
    }

    /// Returns a function that keeps the lock with its directory, which may have been moved to a
    /// path or have lost its state directory. It blocks for a moment, and returns what is wrong.
    pub fn follower(&self) -> impl Fn(&Path) -> Option<Message> + Send + Sync + use<> {
        let held = Arc::downgrade(&self.held);
        move |dir| lock_unpoisoned(&*held.upgrade()?).follow(dir)
    }

    /// Records the token that marks every process of the stack from now on.
    pub fn record_token(&self, token: &str) -> io::Result<()> {
        let mut held = lock_unpoisoned(&self.held);
        held.holder.token = Some(token.to_owned());
        // Only the private record has it.
        held.holder.write(&held.lock)
    }

    /// Returns the token of the last devstack in this directory, if that was killed: it finds what is
    /// left even if the record of processes is lost.
    pub fn left_token(&self) -> Option<&str> {
        self.left_token.as_deref()
    }

    /// Nothing is left of that devstack. Until this is called, the lock keeps the token for the next
    /// one.
    pub fn nothing_is_left(&self) {
        lock_unpoisoned(&self.held).unclean = false;
    }

    /// Returns the path of the socket, which may not exist yet.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Opens the socket, replacing one that an earlier devstack left. Non-blocking.
    pub fn listen(&self) -> io::Result<UnixListener> {
        listen_privately(&self.socket)
    }

    /// Releases everything but the lock, which is kept until the process exits: the next owner can
    /// rely on nothing of this devstack being left. Dropping the value frees the directory at once.
    pub fn hold_until_exit(self) {
        self.clean_up();
        std::mem::forget(self);
    }

    /// Removes what looks like a running or crashed devstack.
    fn clean_up(&self) {
        let _ = fs::remove_file(&self.socket);
        lock_unpoisoned(&self.held).clean_up();
    }

    /// Finds the devstack that runs in `start_dir` or its nearest ancestor, but not above a
    /// directory with a `devstack.toml` or a Procfile: an outer project is never meant.
    pub fn find(start_dir: &Path) -> Option<RunningInstance> {
        InstanceLock::find_in(&UserDirs::of_this_user(), start_dir)
    }

    pub(super) fn find_in(places: &UserDirs, start_dir: &Path) -> Option<RunningInstance> {
        let dirs = places.runtime_dirs();
        let Ok(start) = fs::canonicalize(start_dir) else {
            // The current directory may be deleted: it has no path any more but is still the same.
            let id = directory_id(start_dir, places.uid).ok()?;
            return dirs.iter().find_map(|runtime| instance_at(start_dir, runtime, &id));
        };
        for dir in start.ancestors() {
            let Ok(id) = directory_id(dir, places.uid) else { continue };
            let here = || dirs.iter().find_map(|runtime| instance_at(dir, runtime, &id));
            if let Some(found) = here().or_else(|| instance_elsewhere(places, dir)) {
                return Some(found);
            }
            if CONFIG_FILES.iter().any(|file| dir.join(file).is_file()) {
                return None;
            }
        }
        None
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // While the lock is still ours. The file stays: otherwise two devstacks could lock
        // different files of the same name.
        self.clean_up();
    }
}

impl RunningInstance {
    /// Describes the devstack of `dir` by its lock, which must be held.
    fn new(dir: &Path, path: PathBuf, lock: &File) -> RunningInstance {
        RunningInstance {
            dir: dir.to_owned(),
            socket: path.with_extension("sock"),
            holder: InstanceRecord::read(lock),
            lock: path,
        }
    }

    /// Returns what names its directory: the same whenever a devstack runs there.
    pub fn id(&self) -> &str {
        self.lock.file_stem().and_then(|id| id.to_str()).unwrap_or_default()
    }

    /// Returns whether it still runs.
    pub fn is_running(&self) -> bool {
        open_lock(&self.lock, false).is_ok_and(|lock| is_held(&lock))
    }

    /// Blocks until it has exited, without a time limit.
    pub fn wait_until_ended(&self) -> io::Result<()> {
        match open_lock(&self.lock, false) {
            Ok(lock) => self.wait_for_lock(&lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until the lock is free or another devstack has taken it, which a blocking wait for it
    /// would miss.
    fn wait_for_lock(&self, lock: &File) -> io::Result<()> {
        loop {
            let now = InstanceRecord::read(lock);
            if self.holder.as_ref().zip(now).is_some_and(|(had, now)| had.pid != now.pid) {
                return Ok(());
            }
            match lock.try_lock_shared() {
                Ok(()) => return Ok(()),
                #[expect(clippy::disallowed_methods, reason = "in a client; a lock gives no event")]
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

/// Returns the id of a project: device and inode of the directory, and the user, hashed.
pub(super) fn directory_id(dir: &Path, uid: u32) -> io::Result<String> {
    identity_of(&fs::metadata(dir)?, uid).ok_or(io::Error::from(io::ErrorKind::NotADirectory))
}

/// Like [`directory_id`], from metadata; `None` if it is not a directory.
fn identity_of(found: &Metadata, uid: u32) -> Option<String> {
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

/// Takes the lock; returns false if a devstack holds it.
fn try_lock(lock: &File) -> io::Result<bool> {
    for _ in 0..TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if is_held(lock) => return Ok(false),
            // Another process is only inspecting the lock.
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

/// Returns whether a devstack holds the lock. A shared lock keeps inspecting processes apart.
fn is_held(lock: &File) -> bool {
    match lock.try_lock_shared() {
        Ok(()) => {
            // Closing the file would also unlock it, but later.
            let _ = lock.unlock();
            false
        }
        Err(TryLockError::Error(_)) => false,
        Err(TryLockError::WouldBlock) => true,
    }
}

/// Finds the lock of a devstack of this project that was started with another environment.
fn other_runtime_lock(places: &UserDirs, runtime: &Path, id: &str) -> Option<File> {
    let mut dirs = places.runtime_dirs();
    dirs.retain(|dir| dir != runtime);
    let locks = dirs.iter().filter_map(|dir| open_lock(&lock_path(dir, id), false).ok());
    locks.into_iter().find(is_held)
}

fn instance_at(dir: &Path, runtime: &Path, id: &str) -> Option<RunningInstance> {
    let path = lock_path(runtime, id);
    let lock = open_lock(&path, false).ok()?;
    is_held(&lock).then(|| RunningInstance::new(dir, path, &lock))
}

/// Finds a devstack of this directory whose runtime directory is unknown here.
fn instance_elsewhere(places: &UserDirs, dir: &Path) -> Option<RunningInstance> {
    if places.is_only() {
        return None;
    }
    let (path, lock) = dir_lock::find_held(places, dir)?;
    let holder = InstanceRecord::read(&lock)?;
    let socket = PathBuf::from(holder.socket.as_ref()?);
    Some(RunningInstance { dir: dir.to_owned(), socket, holder: Some(holder), lock: path })
}

/// Describes the lock's owner. Waits briefly if it has not written its record yet: until then the
/// file is empty or describes a crashed devstack.
fn already_running(lock: &File) -> AlreadyRunning {
    let mut holder = InstanceRecord::read(lock);
    for _ in 0..NAME_TRIES {
        if holder.as_ref().is_some_and(InstanceRecord::is_alive) {
            break;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "before the loop runs; a lock gives no event"
        )]
        thread::sleep(PAUSE);
        holder = InstanceRecord::read(lock);
    }
    holder.map_or(AlreadyRunning::Starting, |holder| AlreadyRunning::Running(Box::new(holder)))
}

fn cannot_claim(dir: &Path, error: &io::Error) -> Message {
    let text = format!("cannot lock directory {}: {error}", dir.display());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Message::new(MessageClass::Usage, text)
        }
        _ => Message::new(MessageClass::Denied, text)
            .help("set XDG_RUNTIME_DIR to a directory that you own"),
    }
}
