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
//!
//! `KeyReader` and `RawMode` are about the terminal of the user instead.

mod attachment;
mod crlf_stripper;
mod key_queue;
mod key_reader;
mod raw_mode;
mod run_output_sink;
mod screen_replay;
mod scrollback;
mod service_terminal;
mod subscriber;
mod terminal_modes;

pub use crate::sys::pty::ClientScreen;
pub use attachment::{Attachment, OutputView, RedrawTrigger, TerminalUpdate};
pub use key_queue::KeyQueue;
pub(crate) use key_reader::KeyReader;
pub(crate) use raw_mode::RawMode;
pub(crate) use run_output_sink::RunOutputSink;
pub use service_terminal::ServiceTerminal;
pub use terminal_modes::TerminalModes;

/// Everything that reads the output of programs, in pieces as reads may cut it.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut modes = TerminalModes::default();
    let mut scrollback = scrollback::Scrollback::default();
    let mut stripper = crlf_stripper::CrlfStripper::default();
    for piece in bytes.chunks(5) {
        modes.watch(piece);
        scrollback.push(piece);
        stripper.strip(piece);
    }
    let alt_screen = modes.is_alt_screen();
    scrollback.lines(10, alt_screen);
    modes.restore();
    modes.undo();
    assert!(!modes.is_alt_screen(), "undone");
}
