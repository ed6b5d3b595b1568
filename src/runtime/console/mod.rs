//! The terminals of services, for people who attach to one.
//!
//! ```text
//!  terminal ─► RunOutput ─┬► Capture (the log)
//!                        └► Console ─► View ─┐
//!             ◄─ Typist ◄─ Keyboard ◄────────┴─ whoever is attached
//! ```
//!
//! A console is there for as long as its service is in the stack, so that who is attached sees one run after the
//! other. What is shown goes into a bounded queue of each view: nobody is waited for, and who does not keep up is told
//! how much is missing. What is typed goes straight to the terminal and waits, bounded, in the keyboard.

#[expect(clippy::module_inception, reason = "the type that the module is about")]
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

pub use console::Console;
pub use keyboard::Keyboard;
pub use nudge::Nudge;
pub(super) use run_output::RunOutput;
pub use screen::Screen;
pub use seat::Seat;
pub use seen::Seen;
pub use traces::Traces;
pub use view::View;
