//! Keeps runs: forks their main processes, adopts and reaps their orphans, and reports until their
//! trees are empty. The guard keeps all runs; on systems without marks each run has a keeper.

mod keeper_inbox;
mod keeper_loop;
mod keeper_protocol;
mod keeper_relay;
mod kept_run;
mod kept_runs;

pub(crate) use keeper_inbox::OUTPUT_FDS;
pub(crate) use keeper_loop::{KeeperLoop, KeeperRole, end_with};
pub(crate) use keeper_protocol::{KeeperOrder, KeeperReport, RequestHead, RunMessage};
