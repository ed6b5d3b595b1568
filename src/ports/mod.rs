//! Ports: chooses them for services, keeps them from other stacks, and finds their holders.
//!
//! [`PortAllocator`] chooses (`choose`, pure), claims (`lease`, `availability`) and remembers
//! (`history`). [`holders_of_port`] and [`listener_owner`] find listeners. Nothing here connects to
//! a TCP port. Everything is synchronous and takes microseconds, except naming holders, which scans
//! all processes (a few milliseconds).

mod address_in_use;
#[cfg(target_os = "linux")]
mod announce;
mod assign;
mod availability;
mod blame;
mod choose;
mod conflict;
mod conflict_text;
pub(crate) mod history;
mod hold;
pub(crate) mod holders;
mod interfaces;
mod kill_policy;
mod lease;
mod lease_file;
mod limits;
pub mod report;
mod socket_activation;
mod source;
#[cfg(test)]
mod tests;
pub mod well_known;

pub use report::PortReport;

pub use crate::sys::listening_socket::ListeningSocket;
pub use crate::sys::process_stat::own_ancestry;
pub use address_in_use::{mentioned_ports, mentions_address_in_use};
pub use assign::{AssignRequest, PortAllocator, PortAssignment};
pub use availability::{BindScope, PortAvailability, availability, is_in_time_wait};
pub use blame::{
    ExitEvidence, HoldersByPort, PortBlame, judge_exit, judge_listener, judge_start,
    suspected_ports,
};
pub use conflict::{ConflictAnswer, ConflictPrompt, PortObstacle};
pub use conflict_text::{holder_text as explain_held, loss_text};
pub use holders::{
    HolderContext, ListenerOwner, PortHolder, display_home_relative, first_holders_of,
    holders_of_listeners, holders_of_port, holders_of_ports, listener_owner,
};
pub use interfaces::NetworkInterface;
pub use kill_policy::check_killable;
pub use lease::{LeaseDir, LeaseOwner};
pub use limits::{AllowedPorts, FIRST_UNPRIVILEGED};
pub use socket_activation::{open_listener, reset_listener};

use std::collections::BTreeSet;

use crate::model::ListenAddress;
use crate::sys::sockets;

/// Returns the first and last port that the kernel uses for outgoing connections.
pub fn ephemeral_range() -> (u16, u16) {
    sockets::ephemeral_range()
}

/// Returns all visible TCP listeners of this machine, both families.
pub fn listeners() -> Vec<ListeningSocket> {
    sockets::listeners(None).unwrap_or_default()
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
    let Some(found) = sockets::listeners(None) else { return vec![None; trees.len()] };
    let sockets = found.iter().map(|listener| listener.socket).collect();
    let mut unix = None;
    let style = |tree: &Vec<u32>| {
        let held = sockets::sockets_of_all(tree, &sockets)?;
        let ours = found.iter().filter(|listener| held.contains(&listener.socket));
        let ours: BTreeSet<ListenAddress> =
            ours.map(|found| ListenAddress::Tcp(found.address)).collect();
        if !ours.is_empty() || tree.is_empty() {
            return Some(ours.into_iter().collect());
        }
        let unix = unix.get_or_insert_with(sockets::unix_listeners);
        let held = sockets::sockets_of_all(tree, &unix.keys().copied().collect())?;
        let names = held.iter().filter_map(|socket| unix.get(socket));
        Some(names.map(|name| ListenAddress::Unix(name.clone())).collect())
    };
    trees.iter().map(style).collect()
}
