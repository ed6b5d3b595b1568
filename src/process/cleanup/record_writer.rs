use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::process_identity::ProcessIdentity;
use super::process_record::ProcessRecord;
use crate::model::{DirMove, StackContainers};
use crate::sync::lock_unpoisoned;
use crate::sys::process;

/// How long starts are batched before they are written. A crash meanwhile loses nothing: the token,
/// written before the first start, finds their processes too.
const WRITE_DELAY: Duration = Duration::from_millis(100);

/// Writes the record of live runs to disk, off the path of spawns. Ends of runs are not written:
/// the identity of a dead process does no harm, and the next start writes anyway.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    /// Only ever locked for a moment.
    path: Mutex<PathBuf>,
    guard: u32,
    changes: Mutex<RecordChanges>,
    /// `None` once the file must not be written any more. Locked while it is written, so never by
    /// the supervisor's loop.
    record: Mutex<Option<ProcessRecord>>,
    news: Notify,
}

/// What is not in the record yet. Only ever locked for a moment.
#[derive(Debug, Default)]
struct RecordChanges {
    /// Keeper and main process of new runs.
    begun: BTreeMap<u64, [u32; 2]>,
    /// Runs that are over.
    ended: Vec<u64>,
}

impl RecordWriter {
    /// Writes a record without runs and starts the writer. Must be called inside a runtime. A write
    /// error is only logged, because the record matters only after a crash.
    pub fn open(path: &Path, token: String, guard: u32) -> Arc<RecordWriter> {
        let record = ProcessRecord::new(token, guard);
        write(&record, path);
        let ledger = Arc::new(RecordWriter {
            path: Mutex::new(path.to_owned()),
            guard,
            changes: Mutex::default(),
            record: Mutex::new(Some(record)),
            news: Notify::new(),
        });
        tokio::spawn(write_loop(ledger.clone()));
        ledger
    }

    pub fn run_started(&self, run: u64, keeper: u32, main: u32) {
        lock_unpoisoned(&self.changes).begun.insert(run, [keeper, main]);
        self.news.notify_one();
    }

    pub fn run_ended(&self, run: u64) {
        let mut changes = lock_unpoisoned(&self.changes);
        changes.begun.remove(&run);
        changes.ended.push(run);
    }

    /// Records what the stack is about to have in container engines, before it has. Not for the loop:
    /// it writes the file.
    pub fn has_containers(&self, has: &StackContainers) {
        let mut record = lock_unpoisoned(&self.record);
        let Some(record) = record.as_mut() else { return };
        record.engines.clone_from(&has.engines);
        record.creations.clone_from(&has.creations);
        record.adopted.clone_from(&has.adopted);
        record.borrowed.clone_from(&has.borrowed);
        write(record, &self.path());
    }

    /// Continues in the project directory's new place.
    pub fn relocate(&self, moved: &DirMove) {
        let mut path = lock_unpoisoned(&self.path);
        *path = moved.path(&path);
    }

    fn path(&self) -> PathBuf {
        lock_unpoisoned(&self.path).clone()
    }

    /// Removes the file, since no process is left.
    pub fn close(&self) {
        // Holds the lock so that no later write recreates the file.
        let mut record = lock_unpoisoned(&self.record);
        if record.take().is_some() {
            // There may be no file.
            let _ = std::fs::remove_file(self.path());
        }
    }

    fn write(&self) {
        let RecordChanges { begun, ended } = std::mem::take(&mut *lock_unpoisoned(&self.changes));
        let found: Vec<_> =
            begun.into_iter().filter_map(|(run, pids)| Some((run, self.identify(pids)?))).collect();
        if let Some(record) = &mut *lock_unpoisoned(&self.record) {
            record.runs.retain(|run, _| !ended.contains(run));
            // Probe commands have often exited by now.
            if !found.is_empty() {
                record.runs.extend(found);
                write(record, &self.path());
            }
        }
    }

    /// Identifies both processes, if the main process is still a child of its keeper, which is the
    /// guard or a child of it.
    fn identify(&self, [keeper, main]: [u32; 2]) -> Option<[ProcessIdentity; 2]> {
        let known = |pid, parent| {
            let process = process::process_stat(pid).filter(|p| p.parent == parent && !p.zombie)?;
            Some(ProcessIdentity { pid, born: process.born })
        };
        let main = known(main, keeper)?;
        let above = if keeper == self.guard { std::process::id() } else { self.guard };
        Some([known(keeper, above)?, main])
    }
}

fn write(record: &ProcessRecord, path: &Path) {
    if let Err(error) = record.write(path) {
        tracing::warn!("cannot write {}: {error}", path.display());
    }
}

/// Writes new runs until the runtime shuts down.
async fn write_loop(ledger: Arc<RecordWriter>) {
    loop {
        ledger.news.notified().await;
        tokio::time::sleep(WRITE_DELAY).await;
        let writer = ledger.clone();
        // Fails only when the runtime is shutting down.
        let _ = tokio::task::spawn_blocking(move || writer.write()).await;
    }
}
