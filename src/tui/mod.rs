//! The TUI: `devstack tui` and `up --tui`.
//!
//! ```text
//!  keys, log pages, snapshots ─► update(state, event) ─► state, commands ─► TuiSession
//!                                                          │
//!                                                        view(state) ─► cells ─► terminal
//! ```
//!
//! A client of the control socket like any other: it shows what `ps`, `logs` and `why` show, and it
//! asks for what `restart` asks for. [`update()`] and [`view()`] are pure; [`TuiSession`] reads keys, the
//! socket and the terminal. Of the log it holds a window of some thousand rows, and reads others in
//! pages when they are looked at. It has no timer, except that CPU and memory are measured while
//! keys are being pressed.

mod action;
mod command;
#[cfg(test)]
mod fixture;
mod key_press;
mod log_row;
mod log_window;
mod palette;
mod session;
mod shown_lines;
mod state;
mod update;
mod view;

pub use command::{Notice, TuiEnd};
pub use key_press::{KeyParser, KeyPress, UserInput};
pub use log_row::LogRow;
pub use session::{RequestsText, TuiHost, TuiSession, TuiTexts};
pub use state::TuiState;
pub use update::update;
pub use view::view;
