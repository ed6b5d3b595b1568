//! The terminals of services, for clients that attach to them.
//!
//! ```text
//!  pty ─► RunOutputSink ─┬► LogCapture (the log)
//!                        └► ServiceTerminal ─► OutputView ─┐
//!       ◄─ KeyWriter ◄─ KeyQueue ◄─────────────────────────┴─ attached client
//! ```
//!
//! A [`ServiceTerminal`] lives as long as its service is in the stack, so a client sees one run
//! after the other. Output goes into a bounded queue per client: nothing waits for a slow client,
//! which learns how much it missed. Keys go straight to the pty, or wait in the key queue.

#[expect(clippy::module_inception, reason = "named after its main type")]
mod console;
mod escapes;
mod keyboard;
mod line_ends;
mod newest;
mod nudge;
mod place;
mod replay;
mod run_output;
mod screen;
mod seat;
mod seen;
mod traces;
mod view;

pub use console::ServiceTerminal;
pub use keyboard::KeyQueue;
pub use nudge::RedrawTrigger;
pub(super) use run_output::RunOutputSink;
pub use screen::ClientScreen;
pub use seat::Attachment;
pub use seen::TerminalUpdate;
pub use traces::TerminalModes;
pub use view::OutputView;
