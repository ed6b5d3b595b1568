use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::platform;
use super::record::{Identity, Record};

/// How long starts are gathered before they are written. Nothing is lost meanwhile: the token, which is
/// written before the first start, finds them, too.
const GATHER: Duration = Duration::from_millis(100);

/// Keeps the record of the live runs on disk, off the path of those who start them. Ends are not written: an
/// identity that is gone harms nobody, and the next start writes anyway.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    guard: u32,
    state: Mutex<State>,
    /// Rings when there is something to write.
    news: Notify,
}

#[derive(Debug)]
struct State {
    /// Runs that are not in the record yet: keeper and main process.
    begun: BTreeMap<u64, [u32; 2]>,
    /// `None` when the file is to be left alone from now on.
    record: Option<Record>,
}

impl Ledger {
    /// Writes a record without runs, and begins to follow. To be called inside a runtime. A file that cannot be
    /// written is only logged: the record is for a misfortune that may never come.
    pub fn open(path: &Path, token: String, guard: u32) -> Arc<Ledger> {
        let record = Record::new(token, guard);
        write(&record, path);
        let state = Mutex::new(State { begun: BTreeMap::new(), record: Some(record) });
        let ledger = Arc::new(Ledger { path: path.to_owned(), guard, state, news: Notify::new() });
        tokio::spawn(follow(ledger.clone()));
        ledger
    }

    /// A run has begun.
    pub fn began(&self, run: u64, keeper: u32, main: u32) {
        self.lock().begun.insert(run, [keeper, main]);
        self.news.notify_one();
    }

    /// A run is over.
    pub fn ended(&self, run: u64) {
        let mut state = self.lock();
        state.begun.remove(&run);
        if let Some(record) = &mut state.record {
            record.runs.remove(&run);
        }
    }

    /// Nothing is left: the file goes.
    pub fn close(&self) {
        // With the lock, so that no writer comes after.
        let mut state = self.lock();
        if state.record.take().is_some() {
            // Without a file there is nothing to remove.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn write(&self) {
        let begun = std::mem::take(&mut self.lock().begun);
        let found: Vec<_> =
            begun.into_iter().filter_map(|(run, pids)| Some((run, self.identify(pids)?))).collect();
        // Commands of probes are often gone by now.
        if found.is_empty() {
            return;
        }
        let mut state = self.lock();
        if let Some(record) = &mut state.record {
            record.runs.extend(found);
            write(record, &self.path);
        }
    }

    /// Who they are, if they are still those that were started: a child of the guard and its child.
    fn identify(&self, [keeper, main]: [u32; 2]) -> Option<[Identity; 2]> {
        let known = |pid, parent| {
            let process = platform::look(pid).filter(|p| p.parent == parent && !p.zombie)?;
            Some(Identity { pid, born: process.born })
        };
        let main = known(main, keeper)?;
        Some([known(keeper, self.guard)?, main])
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain data: true whatever the holder was doing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(record: &Record, path: &Path) {
    if let Err(error) = record.write(path) {
        tracing::warn!("cannot write {}: {error}", path.display());
    }
}

/// Writes what is new, to the end of the runtime.
async fn follow(ledger: Arc<Ledger>) {
    loop {
        ledger.news.notified().await;
        tokio::time::sleep(GATHER).await;
        let writer = ledger.clone();
        // An error means that the runtime is ending.
        let _ = tokio::task::spawn_blocking(move || writer.write()).await;
    }
}
