use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use rustix::fs::FileType;
use tokio::sync::mpsc;

use super::events::{EventInbox, WatchTargets};
use super::watch_set::MAX_DIRS;
use super::watch_worker::{WatchLimits, WatchWorker};
use super::{WatchReport, watch_worker};
use crate::model::{Message, MessageClass, WatchConfig, WatchId};
use crate::sys::file_clock::{FileTime, file_time_now};

/// Watches files for services and the configuration on its own thread. Dropping it stops that.
pub struct Watcher {
    pub(super) inbox: Arc<EventInbox>,
    changes: mpsc::UnboundedSender<WatchReport>,
    started: bool,
    limits: WatchLimits,
    /// See [`WatchTargets`]; for the first targets, which may be set late.
    files_since: Option<FileTime>,
    services_since: Option<FileTime>,
}

impl Watcher {
    /// Creates a watcher that reports to `changes`. It uses no system resources before the first
    /// [`Watcher::set`] with targets; single files modified after this call still count as changed.
    pub fn start(changes: mpsc::UnboundedSender<WatchReport>) -> Watcher {
        let limits = WatchLimits { dirs: MAX_DIRS, read_after: watch_worker::HASH_DELAY };
        Watcher::limited(changes, limits)
    }

    pub(super) fn limited(
        changes: mpsc::UnboundedSender<WatchReport>,
        limits: WatchLimits,
    ) -> Watcher {
        Watcher {
            inbox: Arc::default(),
            changes,
            started: false,
            limits,
            files_since: Some(file_time_now()),
            services_since: None,
        }
    }

    /// Files of services modified after this call count as changed, however late the first
    /// [`Watcher::set`] is.
    pub fn set_baseline(&mut self) {
        self.services_since = Some(file_time_now());
    }

    /// Replaces what is watched: files of services by their globs, and single `files`, which need
    /// not exist. Returns at once; unchanged targets keep their state. Files modified after this
    /// call count as changed even if the walk finds them before their event.
    pub fn set(&mut self, services: BTreeMap<WatchId, WatchConfig>, files: BTreeSet<PathBuf>) {
        if !self.started && services.is_empty() && files.is_empty() {
            return;
        }
        let now = file_time_now();
        let services_since = self.services_since.take().unwrap_or(now);
        let files_since = self.files_since.take().unwrap_or(now);
        self.inbox.set_targets(WatchTargets { services, files, services_since, files_since });
        if !self.started {
            self.started = self.spawn();
        }
    }

    fn spawn(&self) -> bool {
        let (inbox, changes, limits) = (self.inbox.clone(), self.changes.clone(), self.limits);
        let work = move || {
            let lookout = WatchWorker::new(inbox, changes.clone(), limits, own_log_files());
            if catch_unwind(AssertUnwindSafe(|| lookout.run())).is_err() {
                let text = "internal error: file watcher stopped; changes will be missed";
                let message = Message::new(MessageClass::Internal, text).help("restart devstack");
                // Without a receiver the stack is shutting down.
                let _ = changes.send(WatchReport::Degraded(message));
                let _ = changes.send(WatchReport::StillChanging(false));
            }
        };
        match thread::Builder::new().name("watch".into()).spawn(work) {
            Ok(_) => true,
            Err(error) => {
                let text = format!("cannot watch files: cannot start a thread ({error})");
                let message = Message::new(MessageClass::WatchDegraded, text)
                    .help("raise the process limit (`ulimit -u`)");
                let _ = self.changes.send(WatchReport::Degraded(message));
                false
            }
        }
    }
}

/// Device and inode number of devstack's own output files, as in `devstack up > log`.
fn own_log_files() -> BTreeSet<(u64, u64)> {
    fn file(output: impl AsFd) -> Option<(u64, u64)> {
        let stat = rustix::fs::fstat(output).ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        // The same numbers as in a fingerprint, whatever their types on this system.
        is_file.then_some((stat.st_dev as u64, stat.st_ino as u64))
    }
    [file(std::io::stdout()), file(std::io::stderr())].into_iter().flatten().collect()
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.inbox.close();
    }
}
