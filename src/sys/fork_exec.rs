//! Starts a program that is passed sockets. It must know its own pid in `LISTEN_PID`, which
//! `posix_spawn` cannot arrange, so the keeper forks; that is cheap for so small a process.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};

use super::fork::{ForkResult, exit_now, fork};
use super::posix_spawn::{ExecImage, null_terminated};
use super::{process, wait};

/// Holds the pid of the process that the sockets are for; only that process knows it.
pub(crate) const LISTEN_PID: &str = "LISTEN_PID";

/// As `sd_listen_fds` defines it.
const FIRST_PASSED_FD: RawFd = 3;

/// Like `posix_spawn`, and also passes these sockets from descriptor 3 on. The error is
/// that of the exec or of its preparation.
pub(crate) fn spawn_with_fds(
    image: &ExecImage<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
    terminal: Option<&CStr>,
    sockets: &[OwnedFd],
) -> io::Result<u32> {
    let (reported, tell) = io::pipe()?;
    match fork()? {
        ForkResult::Child => {
            // Above the numbers that are assigned below.
            let aside =
                rustix::io::fcntl_dupfd_cloexec(&tell, FIRST_PASSED_FD + sockets.len() as RawFd);
            let tell = aside.map_or(tell, PipeWriter::from);
            let Err(error) = exec_child(image, stdout, stderr, terminal, sockets);
            report_and_exit(&tell, &error)
        }
        ForkResult::Parent(pid) => {
            drop(tell);
            read_exec_error(reported, pid)
        }
    }
}

/// A successful exec closes the pipe without writing to it.
fn read_exec_error(mut reported: PipeReader, pid: u32) -> io::Result<u32> {
    let mut errno = [0; 4];
    match reported.read_exact(&mut errno) {
        Ok(()) => {
            wait::reap(pid);
            Err(io::Error::from_raw_os_error(i32::from_le_bytes(errno)))
        }
        Err(_) => Ok(pid),
    }
}

/// Called in the child when the exec failed.
fn report_and_exit(mut tell: &PipeWriter, error: &io::Error) -> ! {
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    // Fails only when the keeper was killed, and then the child exits too.
    let _ = tell.write_all(&errno.to_le_bytes());
    exit_now(127)
}

/// Sets up session, descriptors and signals of the child, then execs. Returns only on failure.
fn exec_child(
    image: &ExecImage<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
    terminal: Option<&CStr>,
    sockets: &[OwnedFd],
) -> io::Result<Infallible> {
    rustix::process::setsid()?;
    let above = FIRST_PASSED_FD + sockets.len() as RawFd;
    let sockets: Vec<OwnedFd> = sockets
        .iter()
        .map(|socket| rustix::io::fcntl_dupfd_cloexec(socket, above))
        .collect::<Result<_, _>>()?;
    match terminal {
        Some(path) => {
            // Without NOCTTY: a new session leader gets its controlling terminal by opening one.
            let terminal = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
            (0..=2).try_for_each(|number| duplicate(terminal.as_raw_fd(), number))?;
        }
        None => {
            duplicate(stdout.as_raw_fd(), 1)?;
            duplicate(stderr.as_raw_fd(), 2)?;
        }
    }
    for (number, socket) in (FIRST_PASSED_FD..).zip(&sockets) {
        duplicate(socket.as_raw_fd(), number)?;
    }
    exec_with_listen_pid(image)
}

/// The copy does not have close-on-exec.
fn duplicate(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: takes numbers only; the child does not use whatever `to` referred to.
    if unsafe { libc::dup2(from, to) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Resets signals, clears the mask and executes the program. Returns only on failure.
fn exec_with_listen_pid(image: &ExecImage<'_>) -> io::Result<Infallible> {
    let own = CString::new(format!("{LISTEN_PID}={}", std::process::id()))?;
    let is_pid = |variable: &CStr| {
        let rest = variable.to_bytes().strip_prefix(LISTEN_PID.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    };
    let mut env = image.env.clone();
    env.iter_mut().filter(|variable| is_pid(variable)).for_each(|variable| *variable = &own);
    let (words, env) = (null_terminated(&image.words), null_terminated(&env));
    process::reset_signals();
    // SAFETY: the set is initialized before it is read; lists end with null, their strings with
    // NUL.
    unsafe {
        let mut none = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        libc::execve(image.program.as_ptr(), words.as_ptr().cast(), env.as_ptr().cast());
    }
    Err(io::Error::last_os_error())
}
