//! Keepers: one small process per run, the subreaper of the service's process tree.

mod keeper_connection;
pub(crate) mod keeper_loop;
mod keeper_protocol;
mod keeper_start;

pub(crate) use keeper_connection::KeeperConnection;
pub(crate) use keeper_loop::KeeperFds;
pub(crate) use keeper_protocol::{KeeperOrder, KeeperReport, StartStage};
