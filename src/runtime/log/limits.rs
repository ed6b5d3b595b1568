use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::model::LogLimits;

/// How much of each service is kept on the disk. Shared by all lanes, so that an edit reaches them at once.
#[derive(Default)]
pub(super) struct Limits {
    max_size: AtomicU64,
    keep: AtomicU32,
}

impl Limits {
    pub fn new(limits: LogLimits) -> Limits {
        let own = Limits::default();
        own.set(limits);
        own
    }

    pub fn set(&self, limits: LogLimits) {
        self.max_size.store(limits.max_size, Ordering::Relaxed);
        self.keep.store(limits.keep, Ordering::Relaxed);
    }

    /// The size at which a file is put away, in bytes, its index included.
    pub fn max_size(&self) -> u64 {
        self.max_size.load(Ordering::Relaxed)
    }

    /// How many files of a service are kept beside the one that is written.
    pub fn keep(&self) -> usize {
        self.keep.load(Ordering::Relaxed) as usize
    }
}
