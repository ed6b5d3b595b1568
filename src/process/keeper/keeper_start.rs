//! Starts the service of a keeper.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::keeper_loop::wait;
use super::keeper_protocol::StartStage;
use crate::process::spawn::SpawnRequest;
use crate::sys::posix_spawn::ExecImage;
use crate::sys::{fork_exec, posix_spawn, process};

/// How often and for how long a program that is still being written is tried again.
const BUSY_RETRY: Duration = Duration::from_millis(20);
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Where and why a start failed.
pub(super) struct StartFailure {
    pub stage: StartStage,
    pub errno: i32,
}

fn refused(stage: StartStage) -> impl Fn(io::Error) -> StartFailure {
    move |error| StartFailure { stage, errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

/// Moves to a group of its own in the guard's session, so that no terminal and no group signal
/// reaches the keeper (a session of its own would make the kernel set up a scheduling group too),
/// becomes a subreaper and starts the service.
pub(super) fn start(
    line: &mut UnixStream,
    guard: BorrowedFd<'_>,
    stdout: &OwnedFd,
    stderr: &OwnedFd,
    sockets: &[OwnedFd],
) -> Result<u32, StartFailure> {
    process::set_process_name(c"ds-keep");
    rustix::process::setpgid(None, None).map_err(|e| refused(StartStage::Keeper)(e.into()))?;
    process::become_subreaper().map_err(refused(StartStage::Keeper))?;
    let parcel = receive(line).map_err(refused(StartStage::Keeper))?;
    let opened = parcel
        .exec_image()
        .ok_or(StartFailure { stage: StartStage::Keeper, errno: libc::EBADMSG })?;
    rustix::process::chdir(opened.dir).map_err(|e| refused(StartStage::Dir)(e.into()))?;
    spawn_retrying(line, guard, &opened, stdout, stderr, sockets).map_err(refused(StartStage::Exec))
}

fn receive(line: &mut UnixStream) -> io::Result<SpawnRequest> {
    let mut head = [0; SpawnRequest::HEAD];
    line.read_exact(&mut head)?;
    let mut parcel = SpawnRequest::with_header(head).ok_or(io::ErrorKind::InvalidData)?;
    line.read_exact(parcel.body_mut())?;
    Ok(parcel)
}

/// Starts the program, retrying for a while if a build is still writing it.
fn spawn_retrying(
    line: &UnixStream,
    guard: BorrowedFd<'_>,
    parcel: &ExecImage<'_>,
    stdout: &OwnedFd,
    stderr: &OwnedFd,
    sockets: &[OwnedFd],
) -> io::Result<u32> {
    let limit = Instant::now() + BUSY_TIMEOUT;
    let terminal = match rustix::termios::isatty(stdout) {
        true => Some(rustix::termios::ttyname(stdout, Vec::new())?),
        false => None,
    };
    let terminal = terminal.as_deref();
    loop {
        let spawned = match sockets {
            [] => posix_spawn::posix_spawn(parcel, stdout.as_fd(), stderr.as_fd(), terminal),
            _ => {
                fork_exec::spawn_with_fds(parcel, stdout.as_fd(), stderr.as_fd(), terminal, sockets)
            }
        };
        match spawned {
            Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) && Instant::now() < limit => {
                // Anything from the supervisor now is an order to stop, or its end of file.
                let fds =
                    &mut [PollFd::new(line, PollFlags::IN), PollFd::new(&guard, PollFlags::IN)];
                if wait(fds, Some(BUSY_RETRY)) {
                    return Err(error);
                }
            }
            outcome => return outcome,
        }
    }
}
