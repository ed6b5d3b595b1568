//! Ports: which service gets which, who holds one, and keeping them from other stacks.
//!
//! [`Ports`] chooses (`choose`, pure), claims (`lease`, `probe`) and remembers (`remembered`); [`holders`] and
//! [`listener_owner`] look at who listens. Nothing here connects to anything. Everything is synchronous and takes
//! microseconds, but for naming holders, which walks over all processes (a few milliseconds).

mod assign;
mod choose;
mod explain;
mod holder;
mod holders;
pub mod known;
mod lease;
mod limits;
mod listener;
mod market;
mod obstacle;
mod owner;
mod passed;
mod probe;
mod remembered;
pub mod table;

#[cfg(target_os = "linux")]
mod sock_diag;
#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
mod system;

pub use assign::Ports;
pub use holder::{Holder, show_folder};
pub use holders::{holders, holders_of};
pub use lease::LeaseFolder;
pub use limits::Limits;
pub use listener::Listener;
pub use obstacle::Obstacle;
pub use owner::Owner;
pub use passed::{open_listener, renew_listener};
pub use probe::{Availability, probe};

use crate::model::Name;

/// A port of a service: its service, and `main` or the name it has in `ports`.
pub type Key = (Name, String);

/// Every TCP listener of this machine that the system shows, both families.
pub fn listeners() -> Vec<Listener> {
    system::listeners(None).unwrap_or_default()
}

/// Whether one of the processes in `tree` listens on `port`. About 20 µs while nobody does; the processes are looked
/// at only when somebody does. A foreign holder takes milliseconds to name. A process started after `tree` was listed
/// counts as foreign: list again before believing it.
pub fn listener_owner(port: u16, tree: &[u32]) -> Owner {
    system::owner(port, tree)
}

/// The ports that one of the processes in `tree` listens on, ascending. A few hundred microseconds.
pub fn listening(tree: &[u32]) -> Vec<u16> {
    let found = listeners();
    let sockets = found.iter().map(|listener| listener.socket).collect();
    let held = system::sockets_of_all(tree, &sockets);
    let ours = found.iter().filter(|listener| held.contains(&listener.socket));
    let ports: std::collections::BTreeSet<u16> =
        ours.map(|listener| listener.address.port()).collect();
    ports.into_iter().collect()
}
