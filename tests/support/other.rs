use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{TestCommand, TestProject, misbehave, require, require_program};

/// Another user, with a directory of their own.
pub struct OtherUser(tempfile::TempDir);

const UID: u32 = 65_534;

impl OtherUser {
    /// The user's directory; they own everything in it.
    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// Needs root, and a machine where the other user can execute the programs.
    pub fn new() -> Option<OtherUser> {
        let root = rustix::process::geteuid().is_root();
        if !require("root, to be another user", root) {
            return None;
        }
        require_program("setpriv")?;
        let dir = tempfile::Builder::new().prefix("do").tempdir().expect("a directory");
        for place in ["", "run", "state", "home"] {
            let place = dir.path().join(place);
            std::fs::create_dir_all(&place).expect("it is ours");
            std::os::unix::fs::chown(&place, Some(UID), Some(UID)).expect("we are root");
            let mode = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&place, mode).expect("it is ours");
        }
        let other = OtherUser(dir);
        let project = TestProject::new();
        let reach = other.program(&project, Path::new("/bin/sh"));
        let test = "test -x \"$0\" && test -x \"$1\"";
        let reach =
            reach.args(["-c", test, env!("CARGO_BIN_EXE_devstack")]).args([misbehave()]).run();
        require("programs that everybody may execute", reach.code() == 0).then_some(other)
    }

    /// A program of a project, run as this user in their directory.
    pub fn program(&self, project: &TestProject, program: &Path) -> TestCommand {
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
