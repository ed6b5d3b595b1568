use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc;

use super::clock::file_time;
use super::cover::FOLDERS_MAX;
use super::inbox::{Inbox, Order};
use super::lookout::{Limits, Lookout};
use super::{Change, lookout};
use crate::model::{Class, Message, Name, Watch};

/// Watches files for services and configuration, on a thread of its own. Dropping it ends that.
pub struct Watcher {
    pub(super) inbox: Arc<Inbox>,
    changes: mpsc::UnboundedSender<Change>,
    started: bool,
    limits: Limits,
}

impl Watcher {
    /// A watcher that reports to `changes`. Nothing is asked of the system before the first [`Watcher::set`]
    /// that names something.
    pub fn start(changes: mpsc::UnboundedSender<Change>) -> Watcher {
        let limits = Limits { folders: FOLDERS_MAX, read_after: lookout::READ_AFTER };
        Watcher::limited(changes, limits)
    }

    pub(super) fn limited(changes: mpsc::UnboundedSender<Change>, limits: Limits) -> Watcher {
        Watcher { inbox: Arc::default(), changes, started: false, limits }
    }

    /// Replaces what is watched: files of services by their globs, and single `files`, which need not be
    /// there. Returns at once; what is named as before keeps its state. Files written after this call count
    /// as changed even when the walk finds them before their event comes.
    pub fn set(&mut self, services: BTreeMap<Name, Watch>, files: BTreeSet<PathBuf>) {
        if !self.started && services.is_empty() && files.is_empty() {
            return;
        }
        self.inbox.order(Order { services, files, since: file_time() });
        if !self.started {
            self.started = self.spawn();
        }
    }

    fn spawn(&self) -> bool {
        let (inbox, changes, limits) = (self.inbox.clone(), self.changes.clone(), self.limits);
        let work = move || {
            let lookout = Lookout::new(inbox, changes.clone(), limits);
            if catch_unwind(AssertUnwindSafe(|| lookout.run())).is_err() {
                let text = "watching files ended by a defect of devstack; changes are not seen";
                let message = Message::new(Class::Internal, text).help("restart devstack");
                // Without a receiver the stack is ending.
                let _ = changes.send(Change::Degraded(message));
            }
        };
        match thread::Builder::new().name("watch".into()).spawn(work) {
            Ok(_) => true,
            Err(error) => {
                let text = format!("files are not watched: no thread could be started ({error})");
                let message = Message::new(Class::WatchDegraded, text)
                    .help("raise the limit of processes (ulimit -u)");
                let _ = self.changes.send(Change::Degraded(message));
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
