//! The front door: the process that all stacks of a user share, and what a stack has to do with it.
//!
//! ```text
//!  stack A ── NameClaim: domain and port, before its services start
//!     └─ Membership ─── join ───► proxy.sock ─┐
//!  stack B                                    ├─ FrontDoor: listeners, routes ─► Proxy
//!     └─ Membership ─── join ───► proxy.sock ─┘      ▲
//!                ◄── listening descriptors           └─ events of each stack, over its control socket
//! ```
//!
//! The first stack with a service to serve starts the process; it ends with the connection of the last
//! one. Each stack keeps copies of its listening sockets: when it is killed, the kernel still accepts
//! connections for the next one, which gets the copies back. A held lock decides which process is the
//! front door, so several stacks may start one at the same time.
//!
//! It listens on loopback and, as long as a service is open to other machines, where that service is
//! (`open_addresses`): from there only open services are reached.
//!
//! Messages are JSON, one per line, with descriptors beside them ([`DoorRequest`], [`DoorReply`]).

mod bound_ports;
mod door;
mod door_files;
mod door_protocol;
mod door_state;
mod door_stream;
mod exchange_feed;
mod failed_lines;
mod front_ports;
mod membership;
mod membership_step;
mod name_claim;
mod network_watch;
mod open_addresses;
mod port_choice;
mod waker;

pub use door::serve;
pub use door_files::DoorFiles;
pub use door_protocol::{DoorReply, DoorRequest, DoorStack, DoorStatus, ask};
pub use exchange_feed::{ExchangeFeed, ExchangeQuery, ExchangeReader};
pub use membership::Membership;
pub use name_claim::{ClaimedNames, DoorSetting, claim};
