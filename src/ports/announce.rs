//! Makes leases visible to other users: each has an abstract Unix socket named after its port, which ends with
//! the process.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::sys::credentials::peer_credentials;

const PREFIX: &str = "devstack-port-";

/// Each lookup takes a place in the accept queue until the lease ends. When the queue is full, a
/// lookup only learns that the name is taken, and the lease counts as one of an unknown process:
/// stacks of other users then rely on the port itself being in use.
const LOOKS: i32 = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AlreadyAnnounced;

/// As reported by the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PortAnnouncer {
    pub pid: Option<u32>,
    pub uid: Option<u32>,
}

/// Announces `port` while the socket is open. `None`: not supported here. Never blocks.
pub(crate) fn announce(port: u16) -> Result<Option<OwnedFd>, AlreadyAnnounced> {
    match listen(port) {
        Ok(socket) => Ok(Some(socket)),
        Err(Errno::ADDRINUSE) => Err(AlreadyAnnounced),
        // A sandbox may forbid abstract sockets. Leases then work only between stacks of one user.
        Err(_) => Ok(None),
    }
}

/// Returns the process that announced `port`, if there is one. Never blocks.
pub(super) fn announcer(port: u16) -> Option<PortAnnouncer> {
    let socket = open(SocketFlags::NONBLOCK).ok()?;
    match rustix::net::connect(&socket, &name(port).ok()?) {
        Ok(()) => {}
        // The queue is full.
        Err(Errno::AGAIN) => return Some(PortAnnouncer::default()),
        Err(_) => return None,
    }
    let peer = peer_credentials(&socket);
    Some(PortAnnouncer { pid: peer.and_then(|(pid, _)| pid), uid: peer.map(|(_, uid)| uid) })
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
    use std::fs::File;
    use std::io::{BufRead, BufReader};
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::{AlreadyAnnounced, PortAnnouncer, announce, announcer, listen, name, open};
    use crate::ports::holders::system;
    use crate::ports::lease::tests::{numbers, soon};
    use crate::ports::lease::{Announcer, LeaseAttempt, LeaseDir};
    use crate::ports::lease_file::{LeaseLabel, write_label};

    #[test]
    fn a_port_is_announced_by_one_who_can_be_asked_for() {
        let number = numbers() + 6;
        let Ok(Some(socket)) = announce(number) else { panic!("names can be had") };
        let uid = Some(rustix::process::geteuid().as_raw());
        let me = PortAnnouncer { pid: Some(std::process::id()), uid };
        for _ in 0..3 {
            assert_eq!(announce(number).unwrap_err(), AlreadyAnnounced);
            assert_eq!(announcer(number), Some(me));
        }
        drop(socket);
        soon(|| announcer(number).is_none());
        soon(|| matches!(announce(number), Ok(Some(_))));
    }

    #[test]
    #[ignore = "the slow one of `a_devstack_that_is_slow_to_listen_keeps_its_port`, which starts it"]
    fn binds_and_does_not_listen() {
        let Some(place) = std::env::var_os("LEASE_DIR") else { return };
        let number: u16 = std::env::var("LEASE_NUMBER").unwrap().parse().unwrap();
        let file = File::create(Path::new(&place).join(format!("{number}.lock"))).unwrap();
        write_label(&file, &LeaseLabel::of(Path::new("/slow")));
        let bound = open(rustix::net::SocketFlags::empty()).unwrap();
        rustix::net::bind(&bound, &name(number).unwrap()).unwrap();
        println!("\nbound");
        // Exits with the other test, even if that one fails or is killed.
        std::io::stdin().lines().for_each(drop);
    }

    /// On a busy machine, a process may wait for long between two system calls.
    #[test]
    fn a_devstack_that_is_slow_to_listen_keeps_its_port() {
        let (slow, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let number = numbers() + 10;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("ports::announce::tests::binds_and_does_not_listen")
            .env("LEASE_DIR", slow.path())
            .env("LEASE_NUMBER", number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "bound"));
        let leases = LeaseDir::open(place.path()).unwrap();
        let LeaseAttempt::Held(owner) = leases.take(number, Path::new("/fast")) else {
            panic!("its file says that it has the port")
        };
        assert_eq!((owner.pid, owner.dir), (Some(child.id()), Some("/slow".into())));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn strangers_that_hold_a_name_in_odd_ways_only_have_it() {
        let number = numbers() + 7;
        let bound = open(rustix::net::SocketFlags::empty()).unwrap();
        rustix::net::bind(&bound, &name(number).unwrap()).unwrap();
        assert_eq!(announce(number).unwrap_err(), AlreadyAnnounced);
        assert_eq!(announcer(number), None);
        // Waiting for such names ends for all ports together.
        let place = tempfile::tempdir().unwrap();
        let leases = LeaseDir::open(place.path()).unwrap();
        for pauses_left in [true, false] {
            assert_eq!(leases.has_pauses(), pauses_left);
            let LeaseAttempt::Taken(lease) = leases.take(number, place.path()) else {
                panic!("nothing proves a devstack")
            };
            assert_eq!(lease.disputed_by(), Some("an unknown process"));
        }
        drop(bound);

        let mut socket = None;
        soon(|| {
            socket = listen(number).ok();
            socket.is_some()
        });
        let socket = socket.unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        // The first lookup fills the queue.
        assert!(announcer(number).unwrap().uid.is_some());
        assert_eq!(announcer(number), Some(PortAnnouncer::default()));
        // Nothing proves that it is a devstack, so it keeps none from the port.
        let unknown = Announcer::Other("an unknown process".to_owned());
        assert_eq!(system::announcer(number), Some(unknown));
    }
}
