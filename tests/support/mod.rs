//! Support for whole-program tests. A test looks like this:
//!
//! ```ignore
//! let project = TestProject::with_config("…");
//! let up = project.devstack(["up"]).start();
//! up.wait_for("api is ready");
//! project.end(&up);
//! ```
//!
//! Nothing here sleeps for a guessed time: a wait ends with an event, or fails after a generous
//! deadline with all output of the program. Where the system sends no event, `eventually` polls.

#[path = "../fixtures/misbehave/content.rs"]
pub mod content;
mod dice;
mod edited;
#[cfg(target_os = "linux")]
mod family;
mod gate;
mod http;
mod launch;
mod leftovers;
mod markers;
mod misbehave;
mod need;
mod number;
#[cfg(target_os = "linux")]
mod other;
mod patience;
mod plain;
mod ports;
mod project;
mod record;
mod running;
mod signals;
pub mod starting;
mod terminal;

pub use dice::SeededRng;
pub use edited::{EditedStack, idler};
#[cfg(target_os = "linux")]
pub use family::{children, guard, kill_all_at_once, leave_behind, misbehaving};
pub use gate::{FifoGate, make_fifo};
pub use http::{
    HttpReply, http_get, http_get_named, http_raw, http_socket, https_get_named, try_http_get,
};
pub use launch::{CommandOutput, TestCommand};
pub use leftovers::OrphanProcess;
pub use markers::{MarkerEvent, MarkerLog};
pub use misbehave::{example_program, misbehave};
pub use need::{require, require_program, user_namespaces};
pub use number::env_number;
#[cfg(target_os = "linux")]
pub use other::OtherUser;
pub use patience::{eventually, wait_at_most, wait_limit};
pub use plain::strip_ansi;
pub use ports::{PortOccupier, free_port, free_ports, lock_usual_ports, occupy, occupy_on};
pub use project::{TestProject, service, up};
pub use record::{OutputPosition, Source};
pub use running::{CTRL_C, CTRL_D, CTRL_Q, CTRL_S, CTRL_Z, RunningProgram};
pub use rustix::process::Signal;
pub use signals::kill_processes;
#[cfg(target_os = "linux")]
pub use signals::signal_all;
pub use terminal::TtySettings;
