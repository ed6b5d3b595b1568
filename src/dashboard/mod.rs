//! The dashboard: a page in the browser that shows the stacks of a user and acts on them.
//!
//! ```text
//!  browser ─► front door (devstack.localhost) ─┐
//!  browser ─► serve_alone (127.0.0.1) ─────────┴─► Dashboard: access ─► page files, or api ─► ControlClient
//! ```
//!
//! It is a client of the control socket like any command, so it can delay nothing. What a tab follows
//! comes in one response (`tab_stream`): browsers allow six connections to a server.
//!
//! Only pages from the dashboard's own origin with the user's token get anything from `/api`
//! (`access`). There are no cookies: browsers send those of one port to all others.

mod access;
mod api;
mod api_query;
mod dashboard;
mod dashboard_token;
mod hidden_env;
mod launch_codes;
mod page_files;
mod patient_stream;
mod reply;
mod serve_alone;
mod service_runs;
mod stack_list;
mod tab_stream;

pub use dashboard::Dashboard;
pub use dashboard_token::DashboardToken;
pub use serve_alone::{AloneServer, launch_code};
