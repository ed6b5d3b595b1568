//! Actions: commands of services that clients run.

mod action_order;
mod action_output;
mod action_runner;
mod action_sink;
mod inside_action;
mod serve_actions;

pub use action_order::ActionOrder;
pub(crate) use action_order::find_action;
pub use action_output::ActionOutput;
pub(crate) use action_runner::{ActionEnd, ActionNews, ActionRunner, ActionStart};
