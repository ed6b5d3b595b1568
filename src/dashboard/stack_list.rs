use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::reply::DashboardError;
use crate::control::{ControlClient, LocatedInstance};
use crate::model::{Message, MessageClass};
use crate::ports::display_home_relative;
use hyper::StatusCode;

/// A running stack of this user, as the page lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ListedStack {
    /// Names its directory; the same after a restart.
    pub id: String,
    /// Its name; `None` while it starts.
    pub name: Option<String>,
    /// Its directory.
    pub dir: String,
    pub pid: Option<u32>,
    /// Start time in milliseconds since 1970.
    pub since: Option<u64>,
    pub devstack: Option<String>,
}

/// Returns all running stacks of this user, sorted by directory. Contacts none of them.
pub(super) fn all() -> Vec<ListedStack> {
    LocatedInstance::all().iter().map(listed).collect()
}

/// Returns a client for a stack that is running.
///
/// # Errors
/// It is not.
pub(super) fn client(id: &str) -> Result<ControlClient, DashboardError> {
    let found = LocatedInstance::all().into_iter().find(|stack| stack.found.id() == id);
    found.map(|stack| ControlClient::of(stack.found)).ok_or_else(|| {
        let message = Message::new(MessageClass::NotRunning, "this stack is not running");
        DashboardError(StatusCode::GONE, message.help("start it with `devstack up`"))
    })
}

fn listed(stack: &LocatedInstance) -> ListedStack {
    let holder = stack.found.holder.as_ref();
    let since = holder.and_then(|holder| holder.since().duration_since(UNIX_EPOCH).ok());
    ListedStack {
        id: stack.found.id().to_owned(),
        name: holder.map(|holder| holder.stack.clone()),
        dir: stack.dir.path().map_or("-".to_owned(), display_home_relative),
        pid: holder.map(|holder| holder.pid),
        since: since.and_then(|since| u64::try_from(since.as_millis()).ok()),
        devstack: holder.map(|holder| holder.devstack.clone()),
    }
}
