use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Once};

use serde_json::Value;
use tempfile::TempDir;

use super::leftovers::{self, OrphanProcess};
use super::{CommandOutput, FifoGate, RunningProgram, TestCommand, eventually, misbehave};

/// The variable that marks every process of a project.
const TOKEN: &str = "DEVSTACK_TEST_TOKEN";

/// Directories of a project next to `app`, and the variables that name them.
const DIRS: [(&str, &str); 6] = [
    ("HOME", "home"),
    ("XDG_RUNTIME_DIR", "run"),
    ("XDG_STATE_HOME", "state"),
    ("XDG_CONFIG_HOME", "config"),
    ("XDG_CACHE_HOME", "cache"),
    ("TMPDIR", "tmp"),
];

/// A directory with a stack and its own environment: home, runtime directory, state, temporary
/// files. Its end is a test as well, see `finish`.
pub struct TestProject {
    home: Arc<ProjectHome>,
    devstack: PathBuf,
    finished: bool,
}

/// Shared by a project and its programs.
pub struct ProjectHome {
    _root: TempDir,
    /// The resolved root, as the system names it.
    path: PathBuf,
    /// `NAME=value`, as in an environment.
    token: String,
    sockets_may_stay: AtomicBool,
}

impl TestProject {
    pub fn new() -> TestProject {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static CLEAN: Once = Once::new();
        CLEAN.call_once(inherit_nothing);
        // Short, because the path of a socket is limited to 104 bytes on some systems.
        let root = tempfile::Builder::new().prefix("ds").tempdir().expect("a temporary directory");
        let path = root.path().canonicalize().expect("it was just made");
        let name = root.path().file_name().expect("it has a name").to_string_lossy();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let token = format!("{TOKEN}={name}-{}-{count}", std::process::id());
        for dir in DIRS.map(|(_, dir)| dir).into_iter().chain(["app"]) {
            fs::create_dir(path.join(dir)).expect("the root is new");
        }
        fs::set_permissions(path.join("run"), fs::Permissions::from_mode(0o700))
            .expect("it is ours");
        let home =
            ProjectHome { _root: root, path, token, sockets_may_stay: AtomicBool::new(false) };
        TestProject {
            home: Arc::new(home),
            devstack: env!("CARGO_BIN_EXE_devstack").into(),
            finished: false,
        }
    }

    /// Creates a project with this `devstack.toml`, as `write` does.
    pub fn with_config(text: &str) -> TestProject {
        let project = TestProject::new();
        project.configure(text);
        project
    }

    /// Uses another program with the same command line: an older one, or a script.
    pub fn with_devstack(mut self, program: impl Into<PathBuf>) -> TestProject {
        self.devstack = program.into();
        self
    }

    /// The directory of `devstack.toml`, where programs start.
    pub fn dir(&self) -> PathBuf {
        self.home.app()
    }

    /// Returns a path in the project directory.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.home.app().join(name)
    }

    /// Returns one of the other directories: `home`, `run`, `state`, `config`, `cache`, `tmp`.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.home.path.join(name)
    }

    /// Writes a file in the project directory, and creates its parents. `{misbehave}` in the text
    /// becomes the path of the fixture program.
    pub fn write(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is below the project"))
            .expect("the project is ours");
        let text = match text.contains("{misbehave}") {
            true => text.replace("{misbehave}", &misbehave().display().to_string()),
            false => text.to_owned(),
        };
        fs::write(&path, text).expect("the project is ours");
        path
    }

    /// Writes `devstack.toml`, as `write` does.
    pub fn configure(&self, text: &str) -> PathBuf {
        self.write("devstack.toml", text)
    }

    /// Reads a file in the project directory.
    #[track_caller]
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Creates a closed gate in the project directory.
    pub fn gate(&self, name: &str) -> FifoGate {
        FifoGate::new(self.path(name))
    }

    /// devstack with these arguments.
    pub fn devstack(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> TestCommand {
        self.program(&self.devstack).args(args)
    }

    /// Starts the stack and waits until it is up.
    #[track_caller]
    pub fn up(&self) -> RunningProgram {
        let up = self.devstack(["up"]).start();
        up.wait_for("is up");
        up
    }

    /// The fixture program with these arguments.
    pub fn misbehave(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> TestCommand {
        self.program(misbehave()).args(args)
    }

    pub fn program(&self, program: impl AsRef<Path>) -> TestCommand {
        TestCommand::new(&self.home, program.as_ref())
    }

    /// Returns the control socket of the project's only running stack.
    #[track_caller]
    pub fn socket(&self) -> PathBuf {
        let mut sockets = sockets(&self.outside("run").join("devstack"));
        let found = sockets.pop().expect("a socket");
        assert!(sockets.is_empty(), "{sockets:?}");
        found
    }

    /// Returns the output of `devstack ps --json`, which must succeed.
    #[track_caller]
    pub fn ps(&self) -> Value {
        self.try_ps().expect_code(0).json()
    }

    /// Runs `devstack ps --json`.
    #[track_caller]
    pub fn try_ps(&self) -> CommandOutput {
        self.devstack(["ps", "--json"]).run()
    }

    /// Polls `ps` until `accept` returns true; returns that output.
    #[track_caller]
    pub fn wait_ps(&self, mut accept: impl FnMut(&Value) -> bool) -> Value {
        eventually("ps to say what was expected", || {
            let ended = self.try_ps();
            (ended.code() == 0).then(|| ended.json()).filter(&mut accept)
        })
    }

    /// Returns the project's live processes.
    pub fn alive(&self) -> Vec<OrphanProcess> {
        leftovers::alive(&self.home.token, &self.home.path)
    }

    /// Waits until none of the project's processes is alive. After 2 s, fails with their names and
    /// kills exactly those.
    #[track_caller]
    pub fn assert_nothing_alive(&self) {
        // Twice: a process that forks while it dies may escape a single scan.
        let mut left = leftovers::remaining_after_grace(|| [self.alive(), self.alive()].concat());
        left.sort_by_key(|one| one.pid);
        left.dedup();
        if !left.is_empty() {
            leftovers::kill_all(&self.home.token, &self.home.path);
            panic!("left behind, and killed now: {}", list(&left));
        }
    }

    /// Kills what a test left on purpose.
    pub fn kill_all(&self) {
        leftovers::kill_all(&self.home.token, &self.home.path);
    }

    /// Returns current zombies among the children of the project's processes. A process that is
    /// just exiting is not yet one.
    pub fn zombies(&self) -> Vec<u32> {
        let parents: Vec<u32> = self.alive().iter().map(|process| process.pid).collect();
        leftovers::zombies(&parents)
    }

    /// Fails if one of the project's processes leaves a zombie unreaped for 2 s.
    #[track_caller]
    pub fn assert_no_zombie(&self) {
        let zombies = leftovers::remaining_after_grace(|| self.zombies());
        assert!(
            zombies.is_empty(),
            "dead and not reaped: {zombies:?}, children of {:?}",
            self.alive()
        );
    }

    /// Leftover socket files count again, after a `kill9` excused them: the next start cleans up.
    pub fn sockets_must_go(&self) {
        self.home.sockets_may_stay.store(false, Ordering::Relaxed);
    }

    /// Ends the test: no process may be alive, and no socket file left. Dropping does the same,
    /// except that a failing test only cleans up.
    #[track_caller]
    pub fn finish(mut self) {
        self.finished = true;
        self.check_end();
    }

    /// Ends the stack as Ctrl-C does, then the test.
    #[track_caller]
    pub fn end(self, up: &RunningProgram) {
        up.end();
        self.finish();
    }

    #[track_caller]
    fn check_end(&self) {
        self.assert_nothing_alive();
        let sockets = sockets(&self.home.path);
        let excused = self.home.sockets_may_stay.load(Ordering::Relaxed);
        assert!(excused || sockets.is_empty(), "socket files left behind: {sockets:?}");
    }
}

impl Drop for TestProject {
    fn drop(&mut self) {
        if self.finished {
        } else if std::thread::panicking() {
            leftovers::kill_all(&self.home.token, &self.home.path);
        } else {
            self.check_end();
        }
    }
}

impl ProjectHome {
    /// The project directory.
    pub fn app(&self) -> PathBuf {
        self.path.join("app")
    }

    /// The complete environment of the project's programs; only PATH is taken from the tests.
    pub fn environment(&self) -> BTreeMap<OsString, OsString> {
        let (name, value) = self.token.split_once('=').expect("it was made with one");
        let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
        all.insert(name.into(), value.into());
        // All tests would share one port.
        all.insert("DEVSTACK_PROXY".into(), "off".into());
        all.insert("LANG".into(), "C.UTF-8".into());
        all.insert("TERM".into(), "xterm-256color".into());
        all.extend(DIRS.map(|(name, dir)| (name.into(), self.path.join(dir).into())));
        all.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
        all
    }

    /// A program was killed and could not clean up.
    pub fn sockets_may_stay(&self) {
        self.sockets_may_stay.store(true, Ordering::Relaxed);
    }
}

/// Creates a project with this configuration and starts its stack.
#[track_caller]
pub fn up(config: &str) -> (TestProject, RunningProgram) {
    let project = TestProject::with_config(config);
    let up = project.up();
    (project, up)
}

/// Returns the service of this name in the output of `ps`.
#[track_caller]
pub fn service<'a>(ps: &'a Value, name: &str) -> &'a Value {
    let services = ps["services"].as_array().unwrap_or_else(|| panic!("no services in {ps}"));
    let found = services.iter().find(|service| service["name"] == name);
    found.unwrap_or_else(|| panic!("no service {name} in {ps}"))
}

fn list(left: &[OrphanProcess]) -> String {
    left.iter().map(|one| format!("\n  {} {}", one.pid, one.command)).collect()
}

/// Keeps what the tests inherited from a shell or build tool from their programs: an inherited
/// descriptor looks like a leak of devstack, and in a background script Ctrl-C is ignored.
fn inherit_nothing() {
    /// Higher than any inherited descriptor.
    const LAST: libc::c_int = 4096;
    for fd in 3..LAST {
        // SAFETY: sets a flag that all our descriptors have anyway; fails harmlessly on a closed
        // one.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the default action runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Returns the socket files below a directory.
fn sockets(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_socket() => found.push(entry.path()),
            Ok(kind) if kind.is_dir() => found.extend(sockets(&entry.path())),
            _ => {}
        }
    }
    found.sort();
    found
}
