//! Orphans: found, terminated and reaped, also after a crash of devstack.

pub(crate) mod adopted_orphans;
mod command_orphans;
mod kill_target;
mod left_alone;
mod orphan_scan;
mod own_children;
mod previous_stack;
mod process_identity;
pub(crate) mod process_record;
mod record_writer;

pub use command_orphans::CommandOrphans;
pub use kill_target::{KillOutcome, KillTarget, kill_holders};
pub(super) use left_alone::leave_alone;
pub(crate) use orphan_scan::TOKEN_VAR;
pub use own_children::OwnChildren;
pub use previous_stack::{
    CleanupReport, clean_up, find_orphans, find_orphans_by_token, left_containers,
};
pub(crate) use record_writer::RecordWriter;
