use std::sync::{Arc, Mutex};

use super::attach_session::AttachSession;
use crate::sync::lock_unpoisoned;

/// The session after an HTTP upgrade. The route stores it and the connection's task takes it, so
/// that it still counts as the same client and ends with the server.
#[derive(Clone, Default)]
pub(super) struct UpgradeSlot(Arc<Mutex<Option<AttachSession>>>);

impl UpgradeSlot {
    pub fn put(&self, session: AttachSession) {
        *lock_unpoisoned(&self.0) = Some(session);
    }

    pub fn take(&self) -> Option<AttachSession> {
        lock_unpoisoned(&self.0).take()
    }
}
