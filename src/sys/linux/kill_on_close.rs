//! Lets the kernel kill process groups when this process ends, even by SIGKILL: a socket asks for a
//! signal of its choice to a group once its peer is closed.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// From `fcntl.h`; the libc crate lacks it.
const F_SETSIG: libc::c_int = 10;

/// Kills a process group when it is dropped, or closed because its process ends. A group that has
/// no members by then is no harm: a new one with the same number is another one to the kernel.
#[derive(Debug)]
pub(crate) struct KillOnClose {
    /// Both are armed: the end that the kernel closes first sets off the other one.
    _ends: [UnixStream; 2],
}

impl KillOnClose {
    pub const WORKS: bool = true;

    /// `None` if the system has no room for it, or there is no such group.
    pub fn group(group: u32) -> Option<KillOnClose> {
        KillOnClose::arm(group).ok()
    }

    fn arm(group: u32) -> io::Result<KillOnClose> {
        let group = i32::try_from(group).ok().filter(|group| *group > 1);
        let group = group.ok_or(io::ErrorKind::InvalidInput)?;
        let (one, other) = UnixStream::pair()?;
        for end in [&one, &other] {
            set(end, libc::F_SETOWN, -group)?;
            set(end, F_SETSIG, libc::SIGKILL)?;
        }
        set(&one, libc::F_SETFL, libc::O_ASYNC)?;
        if let Err(error) = set(&other, libc::F_SETFL, libc::O_ASYNC) {
            // The armed end first: the other one would set it off.
            drop(one);
            return Err(error);
        }
        Ok(KillOnClose { _ends: [one, other] })
    }
}

fn set(socket: &UnixStream, what: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: an open descriptor and numbers.
    match unsafe { libc::fcntl(socket.as_raw_fd(), what, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn leader_with_child() -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 1000 & echo up; wait"]).process_group(0);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("sh exists");
        let stdout = child.stdout.as_mut().expect("piped");
        io::Read::read_exact(stdout, &mut [0; 3]).expect("it prints");
        child
    }

    #[test]
    fn the_whole_group_dies_when_the_end_is_closed_and_not_before() {
        let (mut ours, mut other) = (leader_with_child(), leader_with_child());
        let armed = KillOnClose::group(ours.id()).expect("there is room");
        assert_eq!(ours.try_wait().expect("our child"), None);
        drop(armed);
        assert_eq!(ours.wait().expect("our child").signal(), Some(libc::SIGKILL));
        // The pipe ends when its child has died, too.
        let mut stdout = ours.stdout.take().expect("piped");
        assert_eq!(io::Read::read(&mut stdout, &mut [0; 1]).expect("readable"), 0);
        assert_eq!(other.try_wait().expect("our child"), None);
        let other_group = KillOnClose::group(other.id());
        drop(other_group);
        other.wait().expect("our child");
    }

    #[test]
    fn no_group_of_others_can_be_meant() {
        for group in [0, 1, u32::MAX] {
            assert!(KillOnClose::group(group).is_none());
        }
    }
}
