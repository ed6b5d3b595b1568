use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::starting;

/// With this variable set to 1, no test may be skipped.
const REQUIRE_ALL: &str = "DEVSTACK_REQUIRE_ALL";

/// Returns the path of a program that the test requires. Without it the test is skipped: `let
/// Some(flask) = require_program("flask") else { return };`. With `DEVSTACK_REQUIRE_ALL=1` it
/// fails.
#[track_caller]
pub fn require_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| is_program(path));
    require(program, found.is_some());
    found
}

/// The same for anything else a machine may lack: `if !require("IPv6", has_ipv6()) { return }`.
#[track_caller]
pub fn require(what: &str, there: bool) -> bool {
    if !there {
        let required = std::env::var_os(REQUIRE_ALL).is_some_and(|value| value == "1");
        assert!(!required, "{what} is missing, and {REQUIRE_ALL}=1 allows no skipping");
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // Not with `eprintln!`, which the test harness hides when the test passes.
        let _ = writeln!(std::io::stderr(), "skipped: {test} needs {what}");
    }
    there
}

/// Returns whether this user may create namespaces of all kinds, as the tests of level N need.
pub fn user_namespaces() -> bool {
    let mut command = Command::new("unshare");
    command.args(["-Urpfmn", "--mount-proc", "true"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = starting::spawn(&mut command).and_then(|mut child| child.wait());
    status.is_ok_and(|status| status.success())
}

fn is_program(path: &std::path::Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
