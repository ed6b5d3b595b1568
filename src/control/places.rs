use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use crate::model::{Class, Message};

/// The longest path a socket can have, in bytes, without the zero at its end.
#[cfg(target_os = "linux")]
const MAX_SOCKET_PATH: usize = 107;
/// The longest path a socket can have, in bytes, without the zero at its end.
#[cfg(not(target_os = "linux"))]
const MAX_SOCKET_PATH: usize = 103;

/// `/`, 16 hexadecimal digits and `.sock`: what stands behind the folder in the path of a socket.
const SOCKET_NAME: usize = 1 + 16 + 5;

/// The variable that names the only folder for locks and sockets: jobs of one user that share a machine do not see each
/// other's stacks.
const ONLY_DIR: &str = "DEVSTACK_RUNTIME_DIR";

/// The folder of a stack's own files, beside `devstack.toml`.
const STATE_DIR: &str = ".devstack";

/// Where locks, sockets and state may live for one user.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Whose places these are.
    pub uid: u32,
    /// Folders for locks and sockets, best first.
    runtime: Vec<PathBuf>,
    /// Whether somebody said that there is no other.
    only: bool,
    /// The user's state folder for devstack, if the user has a home.
    state: Option<PathBuf>,
}

impl Places {
    /// The places of the user that runs this process, from its environment.
    pub fn of_this_user() -> Places {
        // The XDG rules: a relative path counts as not set.
        let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
        let uid = geteuid().as_raw();
        let places = Places::new(uid, folder("XDG_RUNTIME_DIR"), state, std::env::temp_dir());
        match std::env::var_os(ONLY_DIR).filter(|dir| !dir.is_empty()) {
            // A relative one is not passed over: whoever set it would reach stacks that he wanted to leave alone.
            Some(dir) => places.only(dir.into()),
            None => places,
        }
    }

    /// The same with this folder for locks and sockets and no other.
    pub fn only(self, dir: PathBuf) -> Places {
        Places { runtime: vec![dir], only: true, ..self }
    }

    /// Places below these folders. `/tmp` is the last resort, because a temporary folder can have
    /// a name that is too long for a socket.
    pub fn new(
        uid: u32,
        runtime: Option<PathBuf>,
        state: Option<PathBuf>,
        temp: PathBuf,
    ) -> Places {
        let state = state.map(|dir| dir.join("devstack"));
        let own = format!("devstack-{uid}");
        let mut folders = Vec::new();
        folders.extend(runtime.map(|dir| dir.join("devstack")));
        folders.extend(state.clone());
        folders.extend([temp.join(&own), Path::new("/tmp").join(&own)]);
        folders.dedup();
        Places { uid, runtime: folders, only: false, state }
    }

    /// The folder for new locks and sockets: the best that can be had, made if it is not there.
    pub fn runtime_dir(&self) -> Result<PathBuf, Message> {
        let mut reasons = Vec::new();
        for dir in &self.runtime {
            match self.usable(dir) {
                Ok(()) => return Ok(dir.clone()),
                Err(error) => reasons.push(format!("{}: {error}", dir.display())),
            }
        }
        let text =
            format!("no folder for the lock and the socket can be used ({})", reasons.join("; "));
        let variable = if self.only { ONLY_DIR } else { "XDG_RUNTIME_DIR" };
        let help = format!("set {variable} to a folder that is yours and only yours (mode 0700)");
        Err(Message::new(Class::Denied, text).help(help))
    }

    /// Folders that may hold locks of this user's stacks, also of those that were started with
    /// another environment (from a desktop, from cron, through ssh), and that can be trusted.
    pub fn runtime_dirs(&self) -> Vec<PathBuf> {
        let login = Path::new("/run/user").join(self.uid.to_string()).join("devstack");
        let mut folders = self.runtime.clone();
        if !self.only && !folders.contains(&login) {
            folders.push(login);
        }
        folders.retain(|dir| dir.is_absolute() && private(dir, self.uid).is_ok());
        folders
    }

    fn usable(&self, dir: &Path) -> io::Result<()> {
        if !dir.is_absolute() {
            return Err(io::Error::other("is no absolute path"));
        }
        if dir.as_os_str().len() + SOCKET_NAME > MAX_SOCKET_PATH {
            return Err(io::Error::other("the name is too long for a socket"));
        }
        // Parents are made for the state folder only: that of a runtime folder belongs to the
        // login, that of a temporary one to the system, and one that was named is where it was meant to be.
        let parents = !self.only && self.state.as_deref() == Some(dir);
        make_private(dir, parents)?;
        private(dir, self.uid)
    }

    /// See [`state_dir`].
    pub fn state_dir(&self, project: &Path, id: &str) -> Result<PathBuf, Message> {
        let beside = project.join(STATE_DIR);
        let error = match self.own_state_dir(&beside) {
            Ok(()) => return Ok(beside),
            Err(error) => error,
        };
        let elsewhere = self.state.as_deref().filter(|_| falls_back(&error));
        let Some(state) = elsewhere else { return Err(no_state(&beside, &error)) };
        let dir = state.join("projects").join(id);
        make_private(&dir, true).map_err(|error| no_state(&dir, &error))?;
        self.own_state_dir(&dir).map_err(|error| no_state(&dir, &error))?;
        Ok(dir)
    }

    /// See [`existing_state_dir`].
    pub fn existing_state_dir(&self, project: &Path, id: &str) -> Option<PathBuf> {
        let beside = Some(project.join(STATE_DIR)).filter(|dir| private(dir, self.uid).is_ok());
        beside.or_else(|| self.existing_state_dir_elsewhere(id))
    }

    /// The folder for the files of a project that cannot be written, or is not there any more.
    pub fn existing_state_dir_elsewhere(&self, id: &str) -> Option<PathBuf> {
        let dir = self.state.as_deref()?.join("projects").join(id);
        private(&dir, self.uid).is_ok().then_some(dir)
    }

    /// Makes `dir`, keeps others out of it, and keeps it out of git.
    fn own_state_dir(&self, dir: &Path) -> io::Result<()> {
        make_private(dir, false)?;
        let found = real_dir(dir, self.uid)?;
        if found.mode() & 0o777 != 0o700 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        }
        let ignore = OpenOptions::new()
            .write(true)
            .create_new(true)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(dir.join(".gitignore"));
        match ignore {
            Ok(mut file) => file.write_all(b"*\n"),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => writable(dir),
            Err(error) => Err(error),
        }
    }
}

/// The folder for a stack's own files: `.devstack` beside its `devstack.toml`, mode 0700, with a
/// `.gitignore` of its own; in the user's state folder when the project cannot be written.
/// An error when neither can be had, or when `.devstack` is not a folder of its own.
pub fn state_dir(project: &Path) -> Result<PathBuf, Message> {
    let places = Places::of_this_user();
    let id = super::instance::identity(project, places.uid)
        .map_err(|error| no_state(&project.join(STATE_DIR), &error))?;
    places.state_dir(project, &id)
}

/// The folder for locks, sockets and leases of this user, mode 0700.
pub fn runtime_dir() -> Result<PathBuf, Message> {
    Places::of_this_user().runtime_dir()
}

/// The folder of [`runtime_dir`], or the best that is there. Makes nothing.
pub fn existing_runtime_dir() -> Option<PathBuf> {
    Places::of_this_user().runtime_dirs().into_iter().next()
}

/// The folder of [`state_dir`] when a stack has made it before. Makes nothing.
pub fn existing_state_dir(project: &Path) -> Option<PathBuf> {
    let places = Places::of_this_user();
    let id = super::instance::identity(project, places.uid).ok()?;
    places.existing_state_dir(project, &id)
}

fn no_state(dir: &Path, error: &io::Error) -> Message {
    let class = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Class::Disk,
        _ => Class::Denied,
    };
    Message::new(class, format!("cannot keep files in {}: {error}", dir.display()))
        .help("devstack keeps logs and remembered ports there: make it a folder that is yours")
}

/// Whether a project's own folder cannot be had because it belongs to somebody else or is
/// read-only. Anything else, such as a full disk or a symlink, must be seen.
fn falls_back(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Makes `dir` with mode 0700 when it is not there.
fn make_private(dir: &Path, parents: bool) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).recursive(parents).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Whether `dir` is a real folder of this user that nobody else can enter.
fn private(dir: &Path, uid: u32) -> io::Result<()> {
    let mode = real_dir(dir, uid)?.mode() & 0o777;
    if mode == 0o700 {
        return Ok(());
    }
    Err(io::Error::other(format!("has mode {mode:04o} instead of 0700")))
}

/// What `dir` is; an error when it is a symlink, no folder, or somebody else's.
fn real_dir(dir: &Path, uid: u32) -> io::Result<fs::Metadata> {
    let found = fs::symlink_metadata(dir)?;
    if found.file_type().is_symlink() {
        return Err(io::Error::other("is a symbolic link"));
    }
    if !found.is_dir() {
        return Err(io::Error::other("is not a folder"));
    }
    if found.uid() != uid {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "belongs to somebody else"));
    }
    Ok(found)
}

/// Whether files can be made in `dir`: a folder on a file system that has become read-only
/// still looks as if they could.
fn writable(dir: &Path) -> io::Result<()> {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).map_err(io::Error::from)
}
