//! Support for whole-program tests. A test looks like this:
//!
//! ```ignore
//! let project = TestProject::new();
//! project.write("devstack.toml", "…");
//! let up = project.devstack(["up"]).start();
//! up.wait_for("api is ready");
//! up.interrupt();
//! assert_eq!(up.wait_code(), 130);
//! project.finish();
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
pub mod starting;
mod terminal;

pub use dice::Dice;
pub use edited::{Edited, idler};
#[cfg(target_os = "linux")]
pub use family::{children, guard, keepers, kill, kill_all_at_once, signal_all};
pub use gate::Gate;
pub use http::{Reply, http_get, http_socket, try_http_get};
pub use launch::{Ended, Launch};
pub use leftovers::Leftover;
pub use markers::{Mark, Markers};
pub use misbehave::{example, misbehave};
pub use need::{need, need_that, user_namespaces};
pub use number::number;
#[cfg(target_os = "linux")]
pub use other::Other;
pub use patience::{eventually, patience, within};
pub use plain::plain;
pub use ports::{Stranger, alone_on_usual_ports, free_port, free_ports, occupy, occupy_on};
pub use project::{Project, service, up};
pub use record::{Place, Source};
pub use running::{CTRL_C, CTRL_D, CTRL_Q, CTRL_S, CTRL_Z, Running};
pub use rustix::process::Signal;
pub use terminal::Settings;
