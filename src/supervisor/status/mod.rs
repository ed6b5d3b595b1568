//! What devstack itself says: from events to status lines.

pub mod event_lines;
mod missing_package;
pub(crate) mod qr_code;
pub(crate) mod run_notes;
mod startup_summary;
mod status_queue;

pub(crate) use missing_package::missing_package;
pub use qr_code::qr_code;
pub(crate) use run_notes::{OwnExit, early_end, listen_notes, reloads_itself, wrong_port};
pub use startup_summary::network_lines;
pub(crate) use status_queue::{LogTail, StatusQueue};
