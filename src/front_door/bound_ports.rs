use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use tokio::task::{JoinHandle, spawn_local};

use super::door_stream::MAX_DESCRIPTORS;
use super::port_choice::bind;

/// The listening sockets of the front door, each with the task that accepts its connections.
#[derive(Default)]
pub(super) struct BoundPorts(BTreeMap<SocketAddr, BoundSocket>);

struct BoundSocket {
    /// For copies.
    socket: Rc<TcpListener>,
    accepting: JoinHandle<()>,
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl BoundPorts {
    /// Takes over sockets that an earlier front door has opened.
    pub fn adopt<F: Future<Output = ()> + 'static>(
        &mut self,
        copies: Vec<OwnedFd>,
        accept: impl Fn(tokio::net::TcpListener) -> F,
    ) {
        for socket in copies.into_iter().map(TcpListener::from) {
            // What is no listening socket or cannot be used is closed.
            let added = self.add(socket, &accept);
            added.unwrap_or_else(|error| tracing::debug!(%error, "cannot take over a socket"));
        }
    }

    /// Listens on a port of loopback, unless that is done already.
    ///
    /// # Errors
    /// The port is in use, or not allowed.
    pub fn open<F: Future<Output = ()> + 'static>(
        &mut self,
        port: u16,
        accept: impl Fn(tokio::net::TcpListener) -> F,
    ) -> io::Result<()> {
        if self.0.keys().any(|at| at.ip().is_loopback() && at.port() == port) {
            return Ok(());
        }
        // IPv4 and IPv6: both, or none.
        self.check_room(2)?;
        bind(port)?.into_iter().try_for_each(|socket| self.add(socket, &accept))
    }

    /// Listens at an address of the network, unless that is done already.
    ///
    /// # Errors
    /// The address is in use or gone, or its port is not allowed.
    pub fn open_at<F: Future<Output = ()> + 'static>(
        &mut self,
        address: SocketAddr,
        accept: impl Fn(tokio::net::TcpListener) -> F,
    ) -> io::Result<()> {
        if self.0.contains_key(&address) {
            return Ok(());
        }
        self.check_room(1)?;
        self.add(TcpListener::bind(address)?, &accept)
    }

    /// Each stack gets a copy of each socket, within one message.
    fn check_room(&self, more: usize) -> io::Result<()> {
        if self.0.len() + more <= MAX_DESCRIPTORS {
            return Ok(());
        }
        let most =
            format!("the proxy already has {} of at most {MAX_DESCRIPTORS} sockets", self.0.len());
        Err(io::Error::other(format!(
            "{most}; it needs two for each port and one for each network address"
        )))
    }

    fn add<F: Future<Output = ()> + 'static>(
        &mut self,
        socket: TcpListener,
        accept: &impl Fn(tokio::net::TcpListener) -> F,
    ) -> io::Result<()> {
        let address = socket.local_addr()?;
        if let Entry::Vacant(free) = self.0.entry(address) {
            socket.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(socket.try_clone()?)?;
            let accepting = spawn_local(accept(listener));
            free.insert(BoundSocket { socket: Rc::new(socket), accepting });
        }
        Ok(())
    }

    /// Closes all sockets but those of these ports on loopback and of these addresses of the network.
    pub fn keep(&mut self, ports: &BTreeSet<u16>, network: &BTreeSet<SocketAddr>) {
        self.0.retain(|address, _| match address.ip().is_loopback() {
            true => ports.contains(&address.port()),
            false => network.contains(address),
        });
    }

    /// Returns all sockets, for copies.
    pub fn sockets(&self) -> Vec<Rc<TcpListener>> {
        self.0.values().map(|bound| bound.socket.clone()).collect()
    }

    /// Returns the numbers of the ports.
    pub fn ports(&self) -> BTreeSet<u16> {
        self.0.keys().map(SocketAddr::port).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn beyond_the_limit_a_port_is_refused_as_a_whole() {
        let work = async {
            let accept = |_| async {};
            let mut bound = BoundPorts::default();
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            for _ in 0..MAX_DESCRIPTORS - 1 {
                bound.open_at(any, accept).unwrap();
            }
            let (free, _) = {
                let held = TcpListener::bind(any).unwrap();
                (held.local_addr().unwrap().port(), held)
            };
            // One socket is left, and a port takes two.
            for _ in 0..2 {
                let refused = bound.open(free, accept).unwrap_err().to_string();
                assert!(refused.contains("63 of at most 64 sockets"), "{refused}");
            }
            assert!(!bound.ports().contains(&free));
            bound.open_at(any, accept).unwrap();
            assert!(bound.open_at(any, accept).is_err());
            assert_eq!(bound.sockets().len(), MAX_DESCRIPTORS);
        };
        LocalSet::new().run_until(work).await;
    }
}
