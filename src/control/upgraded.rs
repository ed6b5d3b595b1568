use std::sync::{Arc, Mutex, PoisonError};

use super::attach::Session;

/// What one connection becomes when it stops to be HTTP: left by the route, taken by whoever serves the connection, so
/// that it counts as the same client and ends with the server.
#[derive(Clone, Default)]
pub(super) struct Upgraded(Arc<Mutex<Option<Session>>>);

impl Upgraded {
    /// Leaves it.
    pub fn put(&self, session: Session) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    /// Takes it, if it was left.
    pub fn take(&self) -> Option<Session> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
