use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::platform;
use super::record::{Identity, Record};

/// How long starts are batched before they are written. A crash meanwhile loses nothing: the token,
/// written before the first start, finds their processes too.
const GATHER: Duration = Duration::from_millis(100);

/// Writes the record of live runs to disk, off the path of spawns. Ends of runs are not written:
/// the identity of a dead process does no harm, and the next start writes anyway.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    guard: u32,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug)]
struct State {
    /// Keeper and main process of runs that are not in the record yet.
    begun: BTreeMap<u64, [u32; 2]>,
    /// `None` once the file must not be written any more.
    record: Option<Record>,
}

impl Ledger {
    /// Writes a record without runs and starts the writer. Must be called inside a runtime. A write
    /// error is only logged, because the record matters only after a crash.
    pub fn open(path: &Path, token: String, guard: u32) -> Arc<Ledger> {
        let record = Record::new(token, guard);
        write(&record, path);
        let state = Mutex::new(State { begun: BTreeMap::new(), record: Some(record) });
        let ledger = Arc::new(Ledger { path: path.to_owned(), guard, state, news: Notify::new() });
        tokio::spawn(follow(ledger.clone()));
        ledger
    }

    pub fn began(&self, run: u64, keeper: u32, main: u32) {
        self.lock().begun.insert(run, [keeper, main]);
        self.news.notify_one();
    }

    pub fn ended(&self, run: u64) {
        let mut state = self.lock();
        state.begun.remove(&run);
        if let Some(record) = &mut state.record {
            record.runs.remove(&run);
        }
    }

    /// Removes the file, since no process is left.
    pub fn close(&self) {
        // Holds the lock so that no later write recreates the file.
        let mut state = self.lock();
        if state.record.take().is_some() {
            // There may be no file.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn write(&self) {
        let begun = std::mem::take(&mut self.lock().begun);
        let found: Vec<_> =
            begun.into_iter().filter_map(|(run, pids)| Some((run, self.identify(pids)?))).collect();
        // Probe commands have often exited by now.
        if found.is_empty() {
            return;
        }
        let mut state = self.lock();
        if let Some(record) = &mut state.record {
            record.runs.extend(found);
            write(record, &self.path);
        }
    }

    /// Identifies both processes, if they are still a child of the guard and its child.
    fn identify(&self, [keeper, main]: [u32; 2]) -> Option<[Identity; 2]> {
        let known = |pid, parent| {
            let process = platform::look(pid).filter(|p| p.parent == parent && !p.zombie)?;
            Some(Identity { pid, born: process.born })
        };
        let main = known(main, keeper)?;
        Some([known(keeper, self.guard)?, main])
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain data: valid wherever the holder panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(record: &Record, path: &Path) {
    if let Err(error) = record.write(path) {
        tracing::warn!("cannot write {}: {error}", path.display());
    }
}

/// Writes new runs until the runtime shuts down.
async fn follow(ledger: Arc<Ledger>) {
    loop {
        ledger.news.notified().await;
        tokio::time::sleep(GATHER).await;
        let writer = ledger.clone();
        // Fails only when the runtime is shutting down.
        let _ = tokio::task::spawn_blocking(move || writer.write()).await;
    }
}
