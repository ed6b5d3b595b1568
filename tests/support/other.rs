use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Launch, Project, misbehave, need, need_that};

/// Another user, with a directory of their own.
pub struct Other(tempfile::TempDir);

const UID: u32 = 65_534;

impl Other {
    /// The user's directory; they own everything in it.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Needs root, and a machine where the other user can execute the programs.
    pub fn new() -> Option<Other> {
        let root = rustix::process::geteuid().is_root();
        if !need_that("root, to be another user", root) {
            return None;
        }
        need("setpriv")?;
        let folder = tempfile::Builder::new().prefix("do").tempdir().expect("a folder");
        for place in ["", "run", "state", "home"] {
            let place = folder.path().join(place);
            std::fs::create_dir_all(&place).expect("it is ours");
            std::os::unix::fs::chown(&place, Some(UID), Some(UID)).expect("we are root");
            let mode = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&place, mode).expect("it is ours");
        }
        let other = Other(folder);
        let project = Project::new();
        let reach = other.program(&project, Path::new("/bin/sh"));
        let test = "test -x \"$0\" && test -x \"$1\"";
        let reach =
            reach.args(["-c", test, env!("CARGO_BIN_EXE_devstack")]).args([misbehave()]).run();
        need_that("programs that everybody may execute", reach.code() == 0).then_some(other)
    }

    /// A program of a project, run as this user in their directory.
    pub fn program(&self, project: &Project, program: &Path) -> Launch {
        let uid = UID.to_string();
        let place = |name: &str| self.0.path().join(name);
        project
            .program("setpriv")
            .args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"])
            .args([program])
            .env("HOME", place("home"))
            .env("XDG_RUNTIME_DIR", place("run"))
            .env("XDG_STATE_HOME", place("state"))
            .dir(self.0.path())
    }
}
