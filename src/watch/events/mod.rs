//! From raw file events to settled changes: inbox, merge, debounce.

mod debouncer;
mod delayed_changes;
mod event_inbox;
mod path_event;
mod quiet_period;
#[cfg(test)]
mod test_gate;

pub(crate) use debouncer::{Debouncer, SaveStage, SettledEvents, save_stage};
pub(crate) use delayed_changes::DelayedChanges;
pub(crate) use event_inbox::{EventInbox, WatchTargets, WorkItem};
pub(crate) use path_event::{PathChange, PathEvent};
pub(crate) use quiet_period::SETTLE;
