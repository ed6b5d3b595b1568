use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::model::LogRetention;

/// How much log of each service is kept on disk. All service logs share it, so edits apply at once.
#[derive(Default)]
pub(crate) struct RetentionLimits {
    max_size: AtomicU64,
    keep: AtomicU32,
}

impl RetentionLimits {
    pub fn new(limits: LogRetention) -> RetentionLimits {
        let own = RetentionLimits::default();
        own.set(limits);
        own
    }

    pub fn set(&self, limits: LogRetention) {
        self.max_size.store(limits.max_size, Ordering::Relaxed);
        self.keep.store(limits.keep, Ordering::Relaxed);
    }

    /// Returns the size in bytes at which a file is rotated, index included.
    pub fn max_size(&self) -> u64 {
        self.max_size.load(Ordering::Relaxed)
    }

    /// Returns how many rotated files of a service are kept.
    pub fn keep(&self) -> usize {
        self.keep.load(Ordering::Relaxed) as usize
    }
}
