//! Starts a program by fork and exec. Unlike `posix_spawn`, it never waits for the exec, which a dead file system
//! can block, and the child can be marked and learn its own pid.

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::fork::{ForkResult, exit_now, fork};
use super::{process, run_mark, wait};

/// Holds the pid of the process that the sockets are for; only that process knows it.
pub(crate) const LISTEN_PID: &str = "LISTEN_PID";

/// As `sd_listen_fds` defines it.
const FIRST_PASSED_FD: RawFd = 3;

/// What to execute, and with what.
pub(crate) struct ExecImage<'a> {
    /// Working directory.
    pub dir: &'a CStr,
    pub program: &'a CStr,
    /// The arguments, from the zeroth on.
    pub words: Vec<&'a CStr>,
    pub env: Vec<&'a CStr>,
}

impl ExecImage<'_> {
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = |variable: &&CStr| {
            let value = variable.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        self.env.iter().find_map(value)
    }
}

/// The descriptors that a program is given besides stdin, which is inherited.
#[derive(Debug)]
pub(crate) struct ExecFds {
    /// The write end of a pipe, or a terminal: then it is stdin, too, and the terminal of the
    /// program's session.
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// Passed from descriptor 3 on.
    pub sockets: Vec<OwnedFd>,
}

/// The resource limits that a program is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChildLimits {
    /// Carried by the program and all that it starts; see `run_mark`.
    pub mark: u64,
    pub open_files: Rlimit,
}

/// What failed when a run was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StartStage {
    Fork,
    Keeper,
    Dir,
    Exec,
}

/// A failed start. Sent by the child in five bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StartFailure {
    pub stage: StartStage,
    pub errno: i32,
}

impl StartFailure {
    pub fn new(stage: StartStage, error: &io::Error) -> StartFailure {
        StartFailure { stage, errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }

    fn encode(self) -> [u8; 5] {
        let [a, b, c, d] = self.errno.to_le_bytes();
        [u8::from(self.stage == StartStage::Dir), a, b, c, d]
    }

    fn decode([dir, errno @ ..]: [u8; 5]) -> StartFailure {
        let stage = if dir == 1 { StartStage::Dir } else { StartStage::Exec };
        StartFailure { stage, errno: i32::from_le_bytes(errno) }
    }
}

/// Readable once the child has executed its program, failed, or died.
#[derive(Debug)]
pub(crate) struct ExecPipe(PipeReader);

impl ExecPipe {
    /// Returns why the program could not be executed; `None`: it was. Blocks until then.
    pub fn failure(mut self) -> Option<StartFailure> {
        let mut report = [0; 5];
        // A successful exec closes the pipe without writing to it.
        self.0.read_exact(&mut report).ok().map(|()| StartFailure::decode(report))
    }
}

impl std::os::fd::AsFd for ExecPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Starts a program in a session of its own, with default signals and an empty mask. `retry` says
/// how long the child waits before it tries again after this error. Fails if there cannot be a
/// process.
pub(crate) fn fork_exec(
    image: &ExecImage<'_>,
    fds: &ExecFds,
    limits: ChildLimits,
    retry: impl FnMut(i32) -> Option<Duration>,
) -> io::Result<(u32, ExecPipe)> {
    let (reported, tell) = io::pipe()?;
    let parent = std::process::id();
    match fork()? {
        ForkResult::Child => {
            let above = FIRST_PASSED_FD + fds.sockets.len() as RawFd;
            // Above the numbers that are assigned below.
            let aside = rustix::io::fcntl_dupfd_cloexec(&tell, above);
            let mut tell = aside.map_or(tell, PipeWriter::from);
            let Err(failure) = exec_child(image, fds, limits, parent, retry);
            // Fails only when the parent was killed, and then the child exits too.
            let _ = tell.write_all(&failure.encode());
            exit_now(127)
        }
        ForkResult::Parent(pid) => Ok((pid, ExecPipe(reported))),
    }
}

/// Sets up session, mark, directory, descriptors and signals of the child, then executes the
/// program. Returns only on failure.
fn exec_child(
    image: &ExecImage<'_>,
    fds: &ExecFds,
    limits: ChildLimits,
    parent: u32,
    retry: impl FnMut(i32) -> Option<Duration>,
) -> Result<Infallible, StartFailure> {
    let failed = |error: io::Error| StartFailure::new(StartStage::Exec, &error);
    rustix::process::setsid().map_err(|errno| failed(errno.into()))?;
    process::die_with_parent(parent);
    run_mark::set(limits.mark);
    // Fails only if the hard limit was lowered meanwhile.
    let _ = setrlimit(Resource::Nofile, limits.open_files);
    rustix::process::chdir(image.dir)
        .map_err(|errno| StartFailure::new(StartStage::Dir, &errno.into()))?;
    place_fds(fds).map_err(failed)?;
    exec_retrying(image, retry).map_err(failed)
}

fn place_fds(fds: &ExecFds) -> io::Result<()> {
    let above = FIRST_PASSED_FD + fds.sockets.len() as RawFd;
    let sockets: Vec<OwnedFd> = fds
        .sockets
        .iter()
        .map(|socket| rustix::io::fcntl_dupfd_cloexec(socket, above))
        .collect::<Result<_, _>>()?;
    if rustix::termios::isatty(&fds.stdout) {
        let path = rustix::termios::ttyname(&fds.stdout, Vec::new())?;
        // Without NOCTTY: a new session leader gets its controlling terminal by opening one.
        let terminal = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        (0..=2).try_for_each(|number| duplicate(terminal.as_raw_fd(), number))?;
    } else {
        duplicate(fds.stdout.as_raw_fd(), 1)?;
        duplicate(fds.stderr.as_raw_fd(), 2)?;
    }
    let mut numbered = (FIRST_PASSED_FD..).zip(&sockets);
    numbered.try_for_each(|(number, socket)| duplicate(socket.as_raw_fd(), number))
}

/// The copy does not have close-on-exec.
fn duplicate(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: takes numbers only; the child does not use whatever `to` referred to.
    if unsafe { libc::dup2(from, to) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Resets signals, clears the mask and executes the program. Returns only on failure.
fn exec_retrying(
    image: &ExecImage<'_>,
    mut retry: impl FnMut(i32) -> Option<Duration>,
) -> io::Result<Infallible> {
    let own = CString::new(format!("{LISTEN_PID}={}", std::process::id()))?;
    let is_pid = |variable: &CStr| {
        let rest = variable.to_bytes().strip_prefix(LISTEN_PID.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    };
    let mut env = image.env.clone();
    env.iter_mut().filter(|variable| is_pid(variable)).for_each(|variable| *variable = &own);
    let (words, env) = (null_terminated(&image.words), null_terminated(&env));
    process::reset_signals();
    loop {
        // SAFETY: the set is initialized before it is read; lists end with null, their strings
        // with NUL.
        unsafe {
            let mut none = std::mem::MaybeUninit::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
            libc::execve(image.program.as_ptr(), words.as_ptr().cast(), env.as_ptr().cast());
        }
        let error = io::Error::last_os_error();
        let Some(pause) = retry(error.raw_os_error().unwrap_or(libc::EIO)) else {
            return Err(error);
        };
        wait::poll_within(&mut [], Some(pause));
    }
}

/// Returns the list that C functions expect, valid as long as the strings are.
fn null_terminated(list: &[&CStr]) -> Vec<*mut c_char> {
    let pointers = list.iter().map(|text| text.as_ptr().cast_mut());
    pointers.chain([std::ptr::null_mut()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_pipe() {
        for stage in [StartStage::Dir, StartStage::Exec] {
            for errno in [0, libc::ENOENT, i32::MAX, -1] {
                let failure = StartFailure { stage, errno };
                assert_eq!(StartFailure::decode(failure.encode()), failure);
            }
        }
    }
}
