//! The trust stores of this machine: what they hold ([`TrustFacts`]), what to change ([`plan()`], pure), and
//! the commands that do it.

mod facts;
mod plan;
mod trust_command;
mod trust_store;

pub use facts::{TrustFacts, is_installed};
pub use plan::{StoreAction, StorePlan, TrustGoal, plan};
pub use trust_command::TrustCommand;
pub use trust_store::{StoreContent, SystemStore, TrustStore};
