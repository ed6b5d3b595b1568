//! The acting part: keys, the control socket, the terminal.

mod log_pages;
mod requests;
mod screen;
mod tui_session;
mod tui_signals;

pub use tui_session::{RequestsText, TuiHost, TuiSession, TuiTexts};
