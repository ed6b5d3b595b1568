//! What devstack itself says: from events to status lines.

pub mod event_lines;
pub(crate) mod qr_code;
pub(crate) mod run_notes;
mod startup_summary;
mod status_queue;

pub use qr_code::qr_code;
pub(crate) use run_notes::{OwnExit, early_end, listen_notes, reloads_itself, wrong_port};
pub use startup_summary::network_lines;
pub(crate) use status_queue::{LogTail, StatusQueue};
