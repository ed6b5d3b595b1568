use std::sync::{Arc, Mutex, PoisonError};

use super::attach_session::AttachSession;

/// The session after an HTTP upgrade. The route stores it and the connection's task takes it, so
/// that it still counts as the same client and ends with the server.
#[derive(Clone, Default)]
pub(super) struct UpgradeSlot(Arc<Mutex<Option<AttachSession>>>);

impl UpgradeSlot {
    pub fn put(&self, session: AttachSession) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    pub fn take(&self) -> Option<AttachSession> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
