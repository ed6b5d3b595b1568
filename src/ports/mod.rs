//! Ports: chooses them for services, keeps them from other stacks, and finds their holders.
//!
//! [`PortAllocator`] chooses (`choose`, pure), claims (`lease`, `availability`) and remembers
//! (`history`). [`holders_of_port`] and [`listener_owner`] find listeners. Nothing here connects to
//! a TCP port. Everything is synchronous and takes microseconds, except naming holders, which scans
//! all processes (a few milliseconds).

mod assign;
mod belonging;
mod choose;
mod claim;
mod container;
mod dispute;
mod eviction;
mod explain;
mod hold;
mod holder;
mod holders;
mod kin;
pub mod known;
mod lease;
mod lessee;
mod limits;
mod listener;
mod market;
mod network;
mod obstacle;
mod origin;
mod owner;
mod passed;
mod probe;
mod remembered;
pub mod table;

#[cfg(target_os = "linux")]
mod announcement;
#[cfg(target_os = "linux")]
mod sock_diag;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
mod system;
#[cfg(target_os = "linux")]
mod walk;

pub use assign::{AssignRequest, PortAllocator, PortAssignment};
pub use dispute::{ConflictAnswer, ConflictPrompt};
pub use eviction::{KillVerdict, kill_verdict};
pub use explain::{holder_text as explain_held, loss_text};
pub use holder::{PortHolder, display_home_relative};
pub use holders::{first_holders_of, holders_of_port, holders_of_ports};
pub use kin::own_ancestry;
pub use lease::LeaseDir;
pub use lessee::LeaseOwner;
pub use limits::AllowedPorts;
pub use listener::ListeningSocket;
pub use network::NetworkInterface;
pub use obstacle::PortObstacle;
pub use origin::{ContainerEngine, HolderOrigin};
pub use owner::ListenerOwner;
pub use passed::{open_listener, reset_listener};
pub use probe::{PortAvailability, availability, is_in_time_wait};

use std::collections::BTreeSet;

use crate::model::{ListenAddress, Name};

/// A service, and `main` or the name of one of its `ports`.
pub type Key = (Name, String);

/// Returns the first and last port that the kernel uses for outgoing connections.
pub fn ephemeral_range() -> (u16, u16) {
    system::ephemeral()
}

/// Returns all visible TCP listeners of this machine, both families.
pub fn listeners() -> Vec<ListeningSocket> {
    system::listeners(None).unwrap_or_default()
}

/// Whether a process in `tree` listens on `port`. Takes about 20 µs if nothing listens; naming a
/// foreign holder takes milliseconds. Processes started after `tree` was listed count as foreign.
pub fn listener_owner(port: u16, tree: &[u32]) -> ListenerOwner {
    system::listener_owner(port, tree)
}

/// Whether this process listens on `port`, on any address.
pub fn listens(pid: u32, port: u16) -> bool {
    let addresses = listen_addresses(&[vec![pid]]).into_iter().flatten().flatten();
    addresses.filter_map(|address| address.tcp()).any(|address| address.port() == port)
}

/// Returns where each tree listens: TCP addresses in order, or Unix sockets if there are none.
/// `None` if the system does not show it. Takes a few hundred microseconds, plus some tens per
/// process.
pub fn listen_addresses(trees: &[Vec<u32>]) -> Vec<Option<Vec<ListenAddress>>> {
    let Some(found) = system::listeners(None) else { return vec![None; trees.len()] };
    let sockets = found.iter().map(|listener| listener.socket).collect();
    let mut unix = None;
    let look = |tree: &Vec<u32>| {
        let held = system::sockets_of_all(tree, &sockets)?;
        let ours = found.iter().filter(|listener| held.contains(&listener.socket));
        let ours: BTreeSet<ListenAddress> =
            ours.map(|found| ListenAddress::Tcp(found.address)).collect();
        if !ours.is_empty() || tree.is_empty() {
            return Some(ours.into_iter().collect());
        }
        let unix = unix.get_or_insert_with(system::unix_listeners);
        let held = system::sockets_of_all(tree, &unix.keys().copied().collect())?;
        let names = held.iter().filter_map(|socket| unix.get(socket));
        Some(names.map(|name| ListenAddress::Unix(name.clone())).collect())
    };
    trees.iter().map(look).collect()
}
