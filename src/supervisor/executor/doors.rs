//! The ports on which devstack listens for lazy services.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::{io, thread};

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};

use super::doorman::{DoorOrders, Doorman};
use crate::engine::{Door, Input};
use crate::model::{Message, MessageClass, Name, Service};
use crate::{ports, probe};

/// Listens for lazy services, on a thread of its own: the traffic of services never delays the loop.
#[derive(Debug, Default)]
pub(super) struct Doors {
    thread: Option<DoorThread>,
    held: BTreeMap<Name, HeldDoor>,
}

#[derive(Debug)]
struct DoorThread {
    runtime: Handle,
    /// The thread ends with it.
    _life: oneshot::Sender<()>,
}

#[derive(Debug)]
struct HeldDoor {
    address: SocketAddr,
    orders: watch::Sender<DoorOrders>,
}

impl Doors {
    pub fn services(&self) -> impl Iterator<Item = &Name> {
        self.held.keys()
    }

    /// Makes these doors the only ones. What cannot be listened on is reported.
    pub fn keep<'a>(
        &mut self,
        doors: impl Iterator<Item = Door<'a>>,
        reports: &mpsc::UnboundedSender<Input>,
    ) {
        let mut wanted = BTreeMap::new();
        for door in doors {
            wanted.extend(door.service.door().map(|address| (&door.service.name, (door, address))));
        }
        // Before others open: a port may move from one service to another.
        self.held.retain(|name, held| {
            wanted.get(name).is_some_and(|(_, address)| *address == held.address)
        });
        for (name, (door, address)) in wanted {
            if !self.held.contains_key(name)
                && let Err(message) = self.open(name, address, reports)
            {
                // Without a receiver the stack is shutting down.
                let _ = reports.send(Input::DoorFailed(name.clone(), message));
            }
            let Some(held) = self.held.get(name) else { continue };
            held.orders.send_if_modified(|orders| {
                let new = orders_for(door, orders.round);
                std::mem::replace(orders, new.clone()) != new
            });
        }
    }

    /// Records that a report of an unused service has arrived: the next orders answer it.
    pub fn answer_unused(&mut self, name: &Name) {
        if let Some(held) = self.held.get(name) {
            held.orders.send_modify(|orders| {
                orders.round += 1;
                // Until it is decided, it may be about to stop.
                orders.places.clear();
            });
        }
    }

    fn open(
        &mut self,
        name: &Name,
        address: SocketAddr,
        reports: &mpsc::UnboundedSender<Input>,
    ) -> Result<(), Message> {
        let socket = ports::open_listener(address)?;
        let runtime = self.runtime().map_err(|error| {
            let text = format!("cannot listen on port {}: {error}", address.port());
            Message::new(MessageClass::Limit, text).help("raise the limit of threads: `ulimit -u`")
        })?;
        let (orders, given) = watch::channel(DoorOrders::default());
        let (name, reports) = (name.clone(), reports.clone());
        let doorman = Doorman { name: name.clone(), orders: given, reports: reports.clone() };
        let failed = name.clone();
        runtime.spawn(async move {
            if let Err(error) = doorman.serve(socket).await {
                let text = format!("cannot listen on port {}: {error}", address.port());
                let message = Message::new(MessageClass::Limit, text)
                    .help("raise the open file limit: `ulimit -n 10240`");
                // Without a receiver the stack is shutting down.
                let _ = reports.send(Input::DoorFailed(failed, message));
            }
        });
        self.held.insert(name, HeldDoor { address, orders });
        Ok(())
    }

    fn runtime(&mut self) -> io::Result<Handle> {
        if let Some(thread) = &self.thread {
            return Ok(thread.runtime.clone());
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (life, ended) = oneshot::channel::<()>();
        let run = move || drop(runtime.block_on(ended));
        thread::Builder::new().name("doors".to_owned()).spawn(run)?;
        self.thread = Some(DoorThread { runtime: handle.clone(), _life: life });
        Ok(handle)
    }
}

fn orders_for(door: Door<'_>, round: u64) -> DoorOrders {
    let inner = |service: &Service| {
        let port = service.own_ports().first().map(|port| port.number)?;
        Some(probe::local_addresses(&service.launch.host, port))
    };
    DoorOrders {
        places: door.open_to.and_then(|service| inner(service)).unwrap_or_default(),
        idle: door.service.lazy.and_then(|lazy| lazy.idle),
        round,
    }
}
