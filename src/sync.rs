use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks and ignores poisoning: every holder leaves the data valid, even when it panics.
pub(crate) fn lock_unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
