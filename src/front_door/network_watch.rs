use std::time::Duration;

use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep;

use crate::sys::network_changes::NetworkChanges;

/// An interface that comes up changes several times: so long until its addresses are looked at.
const SETTLE: Duration = Duration::from_millis(100);

/// Follows the addresses of this machine as long as a service is open to other machines. Otherwise
/// nothing wakes the front door up.
#[derive(Default)]
pub(super) struct NetworkWatch(Option<AbortHandle>);

impl NetworkWatch {
    /// Has `look` called now and after each change, or never again. `look` may call this.
    pub fn follow(&mut self, is_open: bool, look: impl FnOnce() -> Box<dyn Fn()>) {
        match &self.0 {
            None if is_open => self.0 = Some(spawn_local(watch(look())).abort_handle()),
            Some(task) if !is_open => {
                task.abort();
                self.0 = None;
            }
            _ => {}
        }
    }
}

async fn watch(look: Box<dyn Fn()>) {
    let mut changes = match NetworkChanges::open() {
        Ok(changes) => changes,
        // Addresses are then looked at whenever something happens to a service.
        Err(error) => return tracing::debug!(%error, "cannot follow the networks"),
    };
    loop {
        look();
        if let Err(error) = changes.next().await {
            return tracing::debug!(%error, "cannot follow the networks any more");
        }
        sleep(SETTLE).await;
    }
}
