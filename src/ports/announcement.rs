//! A lease as other users see it: an abstract Unix socket named after the port. Such names belong to a network
//! namespace exactly as ports do, need no folder that several users share, and end with the process that made them.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Names begin with it; what follows is the port in decimal digits.
const PREFIX: &str = "devstack-port-";

/// Each look from outside takes a place in the queue until the lease ends. So many can find out whose it is;
/// those after them only learn that it is taken.
const LOOKS: i32 = 4_096;

/// Somebody else has announced a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced;

/// Who announced a port, as far as the kernel says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Announcer {
    pub pid: Option<u32>,
    pub uid: Option<u32>,
}

/// Announces `port`: it is ours while the socket is open; `None`: such names are not to be had here. Never waits.
pub(super) fn announce(port: u16) -> Result<Option<OwnedFd>, Announced> {
    match listen(port) {
        Ok(socket) => Ok(Some(socket)),
        Err(Errno::ADDRINUSE) => Err(Announced),
        // A sandbox may forbid them: then leases are between the stacks of one user.
        Err(_) => Ok(None),
    }
}

/// Who announced `port`; `None`: nobody. Never waits.
pub(super) fn announcer(port: u16) -> Option<Announcer> {
    let socket = open(SocketFlags::NONBLOCK).ok()?;
    match rustix::net::connect(&socket, &name(port).ok()?) {
        Ok(()) => {}
        // Its queue is full.
        Err(Errno::AGAIN) => return Some(Announcer::default()),
        Err(_) => return None,
    }
    Some(peer(&socket))
}

/// What the kernel noted when the other side began to listen. Not by rustix, for whom a process number is never 0: that
/// of a process in another number space is.
fn peer(socket: &OwnedFd) -> Announcer {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = libc::socklen_t::try_from(size_of::<libc::ucred>()).expect("twelve");
    // SAFETY: an open socket; `peer` has `size` bytes, and any numbers are a value of it.
    let code = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    if code != 0 {
        return Announcer::default();
    }
    let pid = u32::try_from(peer.pid).ok().filter(|pid| *pid > 0);
    Announcer { pid, uid: Some(peer.uid) }
}

fn listen(port: u16) -> Result<OwnedFd, Errno> {
    let socket = open(SocketFlags::empty())?;
    rustix::net::bind(&socket, &name(port)?)?;
    rustix::net::listen(&socket, LOOKS)?;
    Ok(socket)
}

fn open(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn name(port: u16) -> Result<SocketAddrUnix, Errno> {
    SocketAddrUnix::new_abstract_name(format!("{PREFIX}{port}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Announced, Announcer, announce, announcer, listen, name, open};
    use crate::ports::lease::tests::{numbers, soon};

    #[test]
    fn a_port_is_announced_by_one_who_can_be_asked_for() {
        let number = numbers() + 6;
        let Ok(Some(socket)) = announce(number) else { panic!("names can be had") };
        let uid = Some(rustix::process::geteuid().as_raw());
        let me = Announcer { pid: Some(std::process::id()), uid };
        for _ in 0..3 {
            assert_eq!(announce(number).unwrap_err(), Announced);
            assert_eq!(announcer(number), Some(me));
        }
        drop(socket);
        soon(|| announcer(number).is_none());
        soon(|| matches!(announce(number), Ok(Some(_))));
    }

    #[test]
    fn strangers_that_hold_a_name_in_odd_ways_only_have_it() {
        let number = numbers() + 7;
        let bound = open(rustix::net::SocketFlags::empty()).unwrap();
        rustix::net::bind(&bound, &name(number).unwrap()).unwrap();
        assert_eq!(announce(number).unwrap_err(), Announced);
        assert_eq!(announcer(number), None);
        drop(bound);

        let mut socket = None;
        soon(|| {
            socket = listen(number).ok();
            socket.is_some()
        });
        let socket = socket.unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        // The first look fills the queue.
        assert!(announcer(number).unwrap().uid.is_some());
        assert_eq!(announcer(number), Some(Announcer::default()));
    }
}
