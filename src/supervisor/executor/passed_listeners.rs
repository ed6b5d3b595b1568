use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::model::{CommandLine, Message, MessageClass, Name, Service, bind_address};
use crate::process::ListenFd;
use crate::supervisor::status::run_notes;
use crate::{ports, process};

/// Listening sockets that devstack opens for services and passes to each run. They stay open while
/// another run can follow, so that connections wait for it instead of being refused.
#[derive(Debug, Default)]
pub(super) struct PassedListeners {
    held: BTreeMap<Name, Vec<HeldListener>>,
    /// Commands with a warning already sent: one is enough.
    remarked: BTreeMap<Name, CommandLine>,
}

#[derive(Debug)]
struct HeldListener {
    /// `main`, or its name in `ports`.
    port: String,
    address: SocketAddr,
    fd: OwnedFd,
}

impl PassedListeners {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The services with held sockets.
    pub fn services(&self) -> BTreeSet<Name> {
        self.held.keys().cloned().collect()
    }

    /// Closes sockets that none of these services uses any more. New connections are refused from
    /// now on, unless a live run still listens.
    pub fn retain<'a>(&mut self, services: impl Iterator<Item = &'a Arc<Service>>) {
        let wanted: BTreeMap<&Name, &Service> =
            services.map(|service| (&service.name, service.as_ref())).collect();
        self.held.retain(|name, sockets| {
            let service = wanted.get(name);
            sockets.retain(|socket| service.is_some_and(|service| socket.is_of(service)));
            !sockets.is_empty()
        });
    }

    /// Returns a warning about a run with passed sockets, unless the previous run had the same
    /// command.
    pub fn shell_warning(&mut self, service: &Service) -> Option<Message> {
        let (name, command) = (&service.name, &service.launch.command);
        if service.socket_activated.is_empty()
            || !process::runs_under_shell(command)
            || self.remarked.get(name) == Some(command)
        {
            return None;
        }
        self.remarked.insert(name.clone(), command.clone());
        Some(run_notes::shell_keeps_socket())
    }

    /// Returns the sockets for a run, in the order of the ports. Held sockets are reset; missing
    /// ones are opened.
    pub fn listen_fds(&mut self, service: &Service) -> Result<Vec<ListenFd>, Message> {
        if service.socket_activated.is_empty() {
            return Ok(Vec::new());
        }
        let held = self.held.entry(service.name.clone()).or_default();
        held.retain(|socket| socket.is_of(service));
        let mut handed = Vec::new();
        for port in service.activated_ports() {
            let address = bind_address(&service.launch.host, port.number);
            let at = match held.iter().position(|socket| socket.port == port.name) {
                Some(at) => at,
                None => {
                    let fd = ports::open_listener(address)?;
                    held.push(HeldListener { port: port.name.clone(), address, fd });
                    held.len() - 1
                }
            };
            handed.push(held[at].hand().map_err(|error| limit(address, &error))?);
        }
        Ok(handed)
    }
}

impl HeldListener {
    fn is_of(&self, service: &Service) -> bool {
        let host = &service.launch.host;
        service
            .activated_ports()
            .any(|port| port.name == self.port && bind_address(host, port.number) == self.address)
    }

    fn hand(&self) -> std::io::Result<ListenFd> {
        ports::reset_listener(&self.fd)?;
        Ok(ListenFd { name: self.port.clone(), socket: self.fd.try_clone()? })
    }
}

fn limit(address: SocketAddr, error: &std::io::Error) -> Message {
    let text = format!("cannot pass the socket of port {}: {error}", address.port());
    Message::new(MessageClass::Limit, text).help("raise the open file limit: `ulimit -n 10240`")
}
