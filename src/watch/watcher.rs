use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;

use super::WatchReport;
use super::events::{EventInbox, WatchTargets};
use super::output_files::OutputFiles;
use super::watch_set::MAX_DIRS;
use super::watch_worker::WatchWorker;
use crate::model::{Message, MessageClass, WatchConfig, WatchId};
use crate::sys::file_clock::{FileTime, file_time_now};

/// Watches files for services and the configuration on its own thread. Dropping it stops that.
pub struct Watcher {
    pub(super) inbox: Arc<EventInbox>,
    changes: mpsc::UnboundedSender<WatchReport>,
    started: bool,
    /// Maximum number of watched directories.
    max_dirs: usize,
    output: OutputFiles,
    /// See [`WatchTargets`]; for the first targets, which may be set late.
    files_since: Option<FileTime>,
    services_since: Option<FileTime>,
}

impl Watcher {
    /// Creates a watcher that reports to `changes`. It uses no system resources before the first
    /// [`Watcher::set`] with targets; single files modified after this call still count as changed.
    pub fn start(changes: mpsc::UnboundedSender<WatchReport>) -> Watcher {
        Watcher::limited(changes, MAX_DIRS)
    }

    pub(super) fn limited(changes: mpsc::UnboundedSender<WatchReport>, max_dirs: usize) -> Watcher {
        Watcher {
            inbox: Arc::default(),
            changes,
            started: false,
            max_dirs,
            output: OutputFiles::default(),
            files_since: Some(file_time_now()),
            services_since: None,
        }
    }

    /// Files that devstack itself writes.
    pub fn output_files(&self) -> &OutputFiles {
        &self.output
    }

    /// Files of services modified after this call count as changed, however late the first
    /// [`Watcher::set`] is.
    pub fn set_baseline(&mut self) {
        self.services_since = Some(file_time_now());
    }

    /// Files modified after this moment count as changed in the next [`Watcher::set`].
    pub fn set_since(&mut self, since: FileTime) {
        (self.services_since, self.files_since) = (Some(since), Some(since));
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
        let (inbox, changes, max_dirs) = (self.inbox.clone(), self.changes.clone(), self.max_dirs);
        let output = self.output.clone();
        let work = move || {
            let lookout = WatchWorker::new(inbox, changes.clone(), max_dirs, output);
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

impl Drop for Watcher {
    fn drop(&mut self) {
        self.inbox.close();
    }
}
