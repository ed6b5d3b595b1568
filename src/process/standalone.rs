//! A process of devstack that belongs to the user and not to a stack: the front door.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::cleanup::leave_alone;
use crate::sys::process;

/// What `ps` shows as its name.
const NAME: &CStr = c"ds-proxy";

/// The variables that it needs: where its files are, and how it is debugged.
const KEPT: [&str; 6] =
    ["HOME", "PATH", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "DEVSTACK_RUNTIME_DIR", "DEVSTACK_LOG"];

/// Starts this program again with these arguments, as a child that outlives this process: no
/// clean-up ends it.
///
/// # Errors
/// The program cannot be started.
pub(crate) fn start_standalone<'a>(
    arguments: impl IntoIterator<Item = &'a OsStr>,
    stderr: Stdio,
) -> io::Result<()> {
    let kept = KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(own_program()?);
    command.arg0("devstack").args(arguments).env_clear().envs(kept).current_dir("/");
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn()?;
    leave_alone(child.id());
    Ok(())
}

/// Makes this process independent of the one that started it: no inherited descriptors, and a session
/// of its own. Must be called before anything is opened.
pub(crate) fn become_standalone() {
    // Keeps those up to 2.
    process::close_fds_except(2);
    process::set_process_name(NAME);
    // Fails only for the leader of a session.
    let _ = rustix::process::setsid();
}

/// Returns a path to this program, also if its file was replaced meanwhile.
fn own_program() -> io::Result<PathBuf> {
    match cfg!(target_os = "linux") {
        true => Ok(PathBuf::from("/proc/self/exe")),
        false => std::env::current_exe(),
    }
}
