use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::atomic_file::ignore_in_git;
use crate::model::{Message, MessageClass};

/// Maximum length of a socket's path in bytes, without the NUL at its end.
#[cfg(target_os = "linux")]
const MAX_SOCKET_PATH: usize = 107;
/// Maximum length of a socket's path in bytes, without the NUL at its end.
#[cfg(not(target_os = "linux"))]
const MAX_SOCKET_PATH: usize = 103;

/// Length of the longest name of a socket with the `/` before it, that of a notify socket: `n`, a
/// pid, `-` and 26 characters.
const SOCKET_NAME: usize = 1 + 1 + 7 + 1 + 26;

/// Names the only directory for locks and sockets; separates jobs of one user on a machine.
pub(super) const ONLY_DIR: &str = "DEVSTACK_RUNTIME_DIR";

/// Hexadecimal digits of a directory id.
const ID_DIGITS: usize = 16;

/// The state directory of a stack, beside `devstack.toml`.
const STATE_DIR: &str = ".devstack";

/// In the user's state directory: what is known of projects, and the state of those that cannot be
/// written.
const PROJECTS: &str = "projects";

/// In the user's state directory: the local CA.
const CA: &str = "ca";

/// Where a user's locks, sockets and state may be.
#[derive(Debug, Clone)]
pub(crate) struct UserDirs {
    pub uid: u32,
    /// Directories for locks and sockets, best first.
    runtime: Vec<PathBuf>,
    /// Whether [`ONLY_DIR`] rules out other directories.
    with_only: bool,
    /// The user's state directory for devstack, if the user has a home.
    state: Option<PathBuf>,
}

impl UserDirs {
    /// Returns the directories of this process's user, from its environment.
    pub fn of_this_user() -> UserDirs {
        // By the XDG rules, a relative path counts as not set.
        let directory =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let state =
            directory("XDG_STATE_HOME").or_else(|| Some(directory("HOME")?.join(".local/state")));
        let uid = geteuid().as_raw();
        let places = UserDirs::new(uid, directory("XDG_RUNTIME_DIR"), state, std::env::temp_dir());
        match std::env::var_os(ONLY_DIR).filter(|dir| !dir.is_empty()) {
            // Not ignored if relative: the user would reach stacks that the variable is meant to
            // exclude.
            Some(dir) => places.with_only(dir.into()),
            None => places,
        }
    }

    /// Restricts locks and sockets to this directory.
    pub fn with_only(self, dir: PathBuf) -> UserDirs {
        UserDirs { runtime: vec![dir], with_only: true, ..self }
    }

    /// Returns directories below the given ones; `/tmp` is the fallback if they are too long.
    pub fn new(
        uid: u32,
        runtime: Option<PathBuf>,
        state: Option<PathBuf>,
        temp: PathBuf,
    ) -> UserDirs {
        let state = state.map(|dir| dir.join("devstack"));
        let own = format!("devstack-{uid}");
        let mut dirs = Vec::new();
        dirs.extend(runtime.map(|dir| dir.join("devstack")));
        dirs.extend(state.clone());
        dirs.extend([temp.join(&own), Path::new("/tmp").join(&own)]);
        dirs.dedup();
        UserDirs { uid, runtime: dirs, with_only: false, state }
    }

    /// Returns the best usable directory for new locks and sockets, creating it if necessary.
    pub fn runtime_dir(&self) -> Result<PathBuf, Message> {
        let mut reasons = Vec::new();
        for dir in &self.runtime {
            match self.usable(dir) {
                Ok(()) => return Ok(dir.clone()),
                Err(error) => reasons.push(format!("{}: {error}", dir.display())),
            }
        }
        let text = format!("no usable directory for the lock and socket ({})", reasons.join("; "));
        let variable = if self.with_only { ONLY_DIR } else { "XDG_RUNTIME_DIR" };
        let help = format!("set {variable} to a directory that only you can access (mode 0700)");
        Err(Message::new(MessageClass::Denied, text).help(help))
    }

    /// Returns directories that may hold locks of this user's stacks and can be trusted, including
    /// those of stacks started with another environment (from a desktop, cron or ssh).
    pub fn runtime_dirs(&self) -> Vec<PathBuf> {
        let login = Path::new("/run/user").join(self.uid.to_string()).join("devstack");
        let mut dirs = self.runtime.clone();
        if !self.with_only && !dirs.contains(&login) {
            dirs.push(login);
        }
        dirs.retain(|dir| dir.is_absolute() && check_private(dir, self.uid).is_ok());
        dirs
    }

    /// Returns the directory id and path of all lock files of this user, sorted.
    pub fn lock_files(&self) -> Vec<(String, PathBuf)> {
        let dirs = self.runtime_dirs();
        let files = dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
        let mut locks: Vec<(String, PathBuf)> =
            files.filter_map(|entry| Some((lock_id(&entry.path())?, entry.path()))).collect();
        locks.sort();
        locks
    }

    fn usable(&self, dir: &Path) -> io::Result<()> {
        if !dir.is_absolute() {
            return Err(io::Error::other("is not an absolute path"));
        }
        if dir.as_os_str().len() + SOCKET_NAME > MAX_SOCKET_PATH {
            return Err(io::Error::other("path is too long for a socket"));
        }
        // Parents are created for the state directory only: the others belong to the login session,
        // the system or the user.
        let parents = !self.with_only && self.state.as_deref() == Some(dir);
        make_private(dir, parents)?;
        check_private(dir, self.uid)
    }

    pub fn state_dir(&self, project: &Path, id: &str) -> Result<PathBuf, Message> {
        let beside = project.join(STATE_DIR);
        let error = match self.create_state_dir_beside(project) {
            Ok(dir) => return Ok(dir),
            Err(error) => error,
        };
        let elsewhere = self.state.as_deref().filter(|_| falls_back(&error));
        let Some(state) = elsewhere else { return Err(no_state(&beside, &error)) };
        let dir = state.join(PROJECTS).join(id);
        make_private(&dir, true).map_err(|error| no_state(&dir, &error))?;
        self.prepare_state_dir(&dir).map_err(|error| no_state(&dir, &error))?;
        Ok(dir)
    }

    /// Creates the state directory of a project that can be written.
    pub fn create_state_dir_beside(&self, project: &Path) -> io::Result<PathBuf> {
        let dir = project.join(STATE_DIR);
        self.prepare_state_dir(&dir).map(|()| dir)
    }

    pub fn existing_state_dir(&self, project: &Path, id: &str) -> Option<PathBuf> {
        let beside = self.private_state_dir_beside(project);
        beside.or_else(|| self.existing_state_dir_elsewhere(id))
    }

    pub fn private_state_dir_beside(&self, project: &Path) -> Option<PathBuf> {
        Some(project.join(STATE_DIR)).filter(|dir| check_private(dir, self.uid).is_ok())
    }

    /// Whether stacks outside of one runtime directory are out of reach.
    pub fn is_only(&self) -> bool {
        self.with_only
    }

    /// Returns the directory with what is known of projects, if it exists and can be trusted.
    pub fn projects_dir(&self) -> Option<PathBuf> {
        let dir = self.state.as_deref()?.join(PROJECTS);
        check_private(&dir, self.uid).is_ok().then_some(dir)
    }

    /// Creates that directory if necessary. `None` for a user without a home.
    pub fn create_projects_dir(&self) -> io::Result<Option<PathBuf>> {
        let Some(dir) = self.state.as_ref().map(|state| state.join(PROJECTS)) else {
            return Ok(None);
        };
        make_private(&dir, true)?;
        check_private(&dir, self.uid).map(|()| Some(dir))
    }

    /// Returns the directory of the local CA, which may not exist.
    pub fn ca_dir(&self) -> Result<PathBuf, Message> {
        let no_home = || {
            Message::new(MessageClass::Denied, "no place for a local CA: HOME is not set")
                .help("set HOME or XDG_STATE_HOME to a directory that you own")
        };
        let dir = self.state.as_ref().ok_or_else(no_home)?.join(CA);
        match check_private(&dir, self.uid) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(no_ca_dir(&dir, &error)),
            Ok(()) | Err(_) => Ok(dir),
        }
    }

    /// Returns the state directory of a project that is not writable or no longer exists.
    pub fn existing_state_dir_elsewhere(&self, id: &str) -> Option<PathBuf> {
        let dir = self.state.as_deref()?.join(PROJECTS).join(id);
        check_private(&dir, self.uid).is_ok().then_some(dir)
    }

    /// Creates `dir`, keeps other users out of it, and keeps it out of git.
    fn prepare_state_dir(&self, dir: &Path) -> io::Result<()> {
        make_private(dir, false)?;
        let found = real_dir(dir, self.uid)?;
        if found.mode() & 0o777 != 0o700 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        }
        match ignore_in_git(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => writable(dir),
            created => created,
        }
    }
}

/// The state directory of a project: what stays when its stack has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Creates it if necessary: `.devstack` beside `devstack.toml`, mode 0700, with its own
    /// `.gitignore`; below the user's state directory if the project is not writable. Fails if
    /// neither is usable, or if `.devstack` is not a directory of this user.
    pub fn create(project: &Path) -> Result<StateDir, Message> {
        let places = UserDirs::of_this_user();
        let id = super::directory_id(project, places.uid)
            .map_err(|error| no_state(&project.join(STATE_DIR), &error))?;
        places.state_dir(project, &id).map(StateDir)
    }

    /// Returns it if a stack has created it before.
    pub fn existing(project: &Path) -> Option<StateDir> {
        let places = UserDirs::of_this_user();
        let id = super::directory_id(project, places.uid).ok()?;
        places.existing_state_dir(project, &id).map(StateDir)
    }

    /// Takes a directory that was found.
    pub(super) fn at(dir: PathBuf) -> StateDir {
        StateDir(dir)
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the file with the ports of the last start.
    pub fn port_history(&self) -> PathBuf {
        self.0.join("ports.json")
    }

    /// Returns the file that records live runs.
    pub fn process_record(&self) -> PathBuf {
        self.0.join("runs.json")
    }

    /// Returns the directory of the log.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Returns the file that gets the stderr of a devstack in the background.
    pub fn background_errors(&self) -> PathBuf {
        self.0.join("background.err")
    }
}

/// The directory of the local CA of this user, which may not exist.
#[derive(Debug, Clone)]
pub struct CaDir(PathBuf);

impl CaDir {
    /// Returns where it is or will be.
    ///
    /// # Errors
    /// The user has no home, or the directory is a link or open to other users.
    pub fn locate() -> Result<CaDir, Message> {
        UserDirs::of_this_user().ca_dir().map(CaDir)
    }

    /// Creates it if necessary, with mode 0700.
    pub fn create(&self) -> Result<(), Message> {
        make_private(&self.0, true).map_err(|error| no_ca_dir(&self.0, &error))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// The directory for locks, sockets and leases of this user.
#[derive(Debug, Clone)]
pub struct RuntimeDir(PathBuf);

impl RuntimeDir {
    /// Creates it if necessary, with mode 0700.
    pub fn create() -> Result<RuntimeDir, Message> {
        UserDirs::of_this_user().runtime_dir().map(RuntimeDir)
    }

    /// Returns the best one that exists.
    pub fn existing() -> Option<RuntimeDir> {
        UserDirs::of_this_user().runtime_dirs().into_iter().next().map(RuntimeDir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the directory of port leases.
    pub fn port_leases(&self) -> PathBuf {
        self.0.join("ports")
    }
}

/// Returns the directory id in the name of a lock file; `None` for other files.
fn lock_id(path: &Path) -> Option<String> {
    let id = path.file_stem()?.to_str()?;
    let is_id = id.len() == ID_DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    (is_id && path.extension()? == "lock").then(|| id.to_owned())
}

fn no_state(dir: &Path, error: &io::Error) -> Message {
    let class = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => MessageClass::Disk,
        _ => MessageClass::Denied,
    };
    Message::new(class, format!("cannot write to {}: {error}", dir.display()))
        .help("make it a directory that you own; devstack keeps logs and port choices there")
}

fn no_ca_dir(dir: &Path, error: &io::Error) -> Message {
    let text = format!("cannot use {} for the local CA: {error}", dir.display());
    Message::new(MessageClass::Denied, text).help(format!(
        "remove it, or make it a directory of yours with `chmod 700 {}`",
        dir.display()
    ))
}

/// Whether the project is not writable for us. Other errors (full disk, symlink) are reported.
fn falls_back(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Creates `dir` with mode 0700 if it does not exist.
pub(super) fn make_private(dir: &Path, parents: bool) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).recursive(parents).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Checks that `dir` is a real directory of this user that no other user can enter.
fn check_private(dir: &Path, uid: u32) -> io::Result<()> {
    let mode = real_dir(dir, uid)?.mode() & 0o777;
    if mode == 0o700 {
        return Ok(());
    }
    Err(io::Error::other(format!("has mode {mode:04o}, expected 0700")))
}

/// Returns the metadata of `dir`; fails for symlinks, non-directories and other owners.
fn real_dir(dir: &Path, uid: u32) -> io::Result<fs::Metadata> {
    let found = fs::symlink_metadata(dir)?;
    if found.file_type().is_symlink() {
        return Err(io::Error::other("is a symbolic link"));
    }
    if !found.is_dir() {
        return Err(io::Error::other("is not a directory"));
    }
    if found.uid() != uid {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "is owned by another user"));
    }
    Ok(found)
}

/// Checks that files can be created in `dir`; on a read-only file system its mode does not show.
fn writable(dir: &Path) -> io::Result<()> {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).map_err(io::Error::from)
}
