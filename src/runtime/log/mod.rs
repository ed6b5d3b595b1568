//! What services print: captured, stored, shown.
//!
//! ```text
//!  pipe ─► Capture ─► Lane (NAME.log, NAME.idx) ─► Cursor ─► Reader, Stored
//!             │        └ full: NAME.1.log, NAME.2.log …, of which the newest are kept
//!             └─────► Queue ─► printer thread ─► terminal
//!                       └ full: the printer follows the lanes with a Cursor until it has caught up
//! ```
//!
//! A capture cuts the bytes of a stream into batches of whole lines. A batch is appended to the file
//! of its service and its place is noted in an index. A file that is full is put away under its number, and the
//! next one begins. The terminal has its own thread; between it and
//! the captures is a queue that is bounded in bytes. When the queue is full, batches are only stored,
//! and the printer reads them back when it gets there. So nothing waits for the terminal, memory
//! is bounded, and every line is shown that is still kept; how many are not is told.
//!
//! The folder of the time before is `logs.1`.
//!
//! What devstack itself says is a voice among the others: it has a lane, and numbers in between, but no run. Its
//! lines are the JSON objects that readers get.
//!
//! All order is by `seq`, the number of the line within the stack; clocks only label lines.

mod amount;
mod batch;
mod capture;
mod cursor;
mod extent;
mod filter;
mod find;
mod folder;
mod found;
mod json;
mod lane;
mod limits;
mod lines;
mod logs;
mod look;
mod missed;
pub mod narrate;
mod narration;
mod notes;
mod output;
mod painter;
mod palette;
mod pattern;
mod piece;
mod printer;
mod qr_code;
mod queue;
mod reader;
mod reader_gone;
mod record;
mod ring;
mod said;
mod segment;
mod spoken;
mod stored;
mod summary;
#[cfg(test)]
mod tests;
mod track;
mod voice;
mod volume;
mod wanted;

pub use amount::Amount;
pub use capture::Capture;
pub use lines::LINE_MAX;
pub(super) use logs::last_lines;
pub use logs::{Counts, Logs};
pub use look::{Escapes, Look};
pub use missed::Missed;
pub use narration::Narration;
pub use output::Output;
pub use painter::Painter;
pub use palette::Table;
pub use qr_code::qr_code;
pub use reader::{Item, Page, Reader};
pub use reader_gone::reader_gone;
pub use record::Record;
pub use said::{Said, Tone};
pub use spoken::Spoken;
pub use stored::Stored;
pub use summary::{reach, summary};
pub use wanted::Wanted;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks without caring for poison: every holder leaves the data whole, even when it panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
