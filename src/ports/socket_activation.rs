//! Listening sockets that devstack opens and passes to services.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::holders::holders_of_port;
use super::{PortObstacle, availability, conflict_text};
use crate::model::{Message, MessageClass};

/// How many connections may wait during a restart. Linux caps this at `net.core.somaxconn`, which
/// has the same default; clients retry further connections after a second.
const BACKLOG: i32 = 4096;

/// Opens a listening socket that other programs do not inherit. `[::]` accepts IPv4 too.
///
/// # Errors
/// Class `port` with the holder (found in a few milliseconds), `denied` for privileges, or `limit`
/// if the system is out of resources.
pub fn open_listener(address: SocketAddr) -> Result<OwnedFd, Message> {
    bind(address).map_err(|error| refusal(address, error))
}

/// Resets a socket that had another user: it listens with the full backlog and blocks. Waiting
/// connections stay.
///
/// # Errors
/// The system error; the socket is unusable then.
pub fn reset_listener(socket: impl AsFd) -> io::Result<()> {
    // The flag is shared by all processes that have the socket, and event loops set it.
    rustix::io::ioctl_fionbio(&socket, false)?;
    // Also revives a socket that was shut down.
    Ok(rustix::net::listen(&socket, BACKLOG)?)
}

fn bind(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = availability::bind_server(address, address.ip().is_unspecified())?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn refusal(address: SocketAddr, error: Errno) -> Message {
    let port = address.port();
    let (class, obstacle, help) = match error {
        Errno::ADDRINUSE => {
            let help = format!(
                "run `devstack ports {port}` for details, or give the service another port"
            );
            (MessageClass::Port, PortObstacle::InUse, help)
        }
        Errno::ACCESS | Errno::PERM => (
            MessageClass::Denied,
            PortObstacle::Denied,
            "give the service a port of 1024 or higher".to_owned(),
        ),
        Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => {
            let text = format!("{} is not an address of this machine", address.ip());
            return Message::new(MessageClass::Port, text)
                .help("fix `host`; 127.0.0.1 always works");
        }
        other => {
            let why = io::Error::from(other).to_string();
            (MessageClass::Limit, PortObstacle::Failed(why), "check `ulimit -n`".to_owned())
        }
    };
    let holders = if class == MessageClass::Port { holders_of_port(port) } else { Vec::new() };
    Message::new(class, conflict_text::obstacle_text(port, &obstacle, &holders)).help(help)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn any(host: &str) -> Option<SocketAddr> {
        TcpListener::bind((host, 0)).ok()?.local_addr().ok()
    }

    #[test]
    fn connections_wait_until_somebody_takes_them() {
        for host in ["127.0.0.1", "::1", "0.0.0.0", "::"] {
            let Some(address) = any(host) else { continue };
            let socket = open_listener(address).unwrap();
            let target = if host.contains(':') { "::1" } else { "127.0.0.1" };
            let waiting = TcpStream::connect((target, address.port())).unwrap();
            let (_, from) = TcpListener::from(socket).accept().unwrap();
            assert_eq!(from.port(), waiting.local_addr().unwrap().port());
        }
        // The IPv6 wildcard accepts IPv4 too.
        if let Some(address) = any("::") {
            let _socket = open_listener(address).unwrap();
            TcpStream::connect(("127.0.0.1", address.port())).unwrap();
        }
    }

    #[test]
    fn a_socket_that_was_shut_down_and_set_not_to_block_is_made_as_new() {
        let address = any("127.0.0.1").unwrap();
        let socket = open_listener(address).unwrap();
        let user = TcpListener::from(socket.try_clone().unwrap());
        user.set_nonblocking(true).unwrap();
        rustix::net::shutdown(&user, rustix::net::Shutdown::Both).unwrap();
        drop(user);
        TcpStream::connect(address).unwrap_err();
        reset_listener(&socket).unwrap();
        let _waiting = TcpStream::connect(address).unwrap();
        // It blocks again, or accepting without a waiting connection would fail.
        let (one, two) = (TcpListener::from(socket), std::sync::mpsc::channel());
        one.accept().unwrap();
        let later = std::thread::spawn(move || {
            two.0.send(()).unwrap();
            one.accept().map(|_| ())
        });
        two.1.recv().unwrap();
        let _second = TcpStream::connect(address).unwrap();
        later.join().unwrap().unwrap();
    }

    #[test]
    fn who_has_the_port_is_named() {
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = stranger.local_addr().unwrap();
        let refused = open_listener(address).unwrap_err();
        assert_eq!(refused.class, MessageClass::Port);
        let pid = format!("(pid {}", std::process::id());
        assert!(refused.text.starts_with(&format!("port {} is in use by ", address.port())));
        assert!(refused.text.contains(&pid) && !refused.help.is_empty(), "{refused:?}");
        let nowhere = open_listener("192.0.2.1:20000".parse().unwrap()).unwrap_err();
        assert_eq!(nowhere.text, "192.0.2.1 is not an address of this machine");
    }
}
