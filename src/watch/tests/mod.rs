//! Real files, real events. No test waits for time to pass: it waits for a change, and a later change that
//! arrives alone shows that there was no other.

mod configuration;
mod directories;
mod filtering;
mod polling;
mod saves;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::events::SETTLE;
use super::{WatchReport, Watcher};
use crate::model::{Message, MessageClass, Name, WatchAction, WatchConfig, WatchId};

/// Long enough for any machine; a test that reaches it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

struct WatchFixture {
    _dir: TempDir,
    /// Where files are written before they are moved into place.
    outside: TempDir,
    written: AtomicU32,
    /// Resolved, as changes are reported.
    top: PathBuf,
    watcher: Watcher,
    changes: mpsc::UnboundedReceiver<WatchReport>,
    /// Warnings about missing paths.
    waits: Vec<String>,
}

fn name(text: &str) -> WatchId {
    WatchId::first(Name::new(text).unwrap())
}

impl WatchFixture {
    fn new() -> WatchFixture {
        WatchFixture::limited(10_000)
    }

    fn limited(max_dirs: usize) -> WatchFixture {
        let dir = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        let (tell, changes) = mpsc::unbounded_channel();
        let outside = tempfile::tempdir().unwrap();
        let (written, watcher) = (AtomicU32::new(0), Watcher::limited(tell, max_dirs));
        WatchFixture { _dir: dir, outside, written, top, watcher, changes, waits: Vec::new() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.top.join(path)
    }

    /// Writes a file in one step.
    fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.top.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let new = self.outside.path().join(number.to_string());
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Makes changes of several steps, which settle together. The top directory must be watched.
    fn at_once(&self, steps: impl FnOnce()) {
        self.watcher.inbox.shut();
        steps();
        let seen = format!(".{}.swp", self.written.load(Ordering::Relaxed));
        self.write(&seen, "events come in order, so those of the steps came before this one's");
        self.watcher.inbox.wait_touched(&self.path(&seen));
        self.watcher.inbox.open();
    }

    /// Writes a file with an old mtime: one as new as the watch counts as changed.
    fn old(&self, path: &str, text: &str) {
        self.write(path, text);
        let file = fs::File::options().write(true).open(self.path(path)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    }

    fn watch(&self, include: &[&str], exclude: &[&str]) -> WatchConfig {
        let list = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect();
        let (include, exclude) = (list(include), list(exclude));
        let action = WatchAction::Restart { build: None };
        let root = self.top.clone();
        WatchConfig {
            root,
            optional: false,
            include,
            exclude,
            reloaded: Vec::new(),
            debounce: SETTLE,
            poll: None,
            action,
        }
    }

    /// Watches for one service, `api`, and waits until that works: a first file is seen.
    async fn begin(&mut self, watch: WatchConfig) {
        let inside = watch.include.is_empty();
        let mut services = BTreeMap::from([(name("api"), watch)]);
        if !inside {
            services.insert(name("begin"), self.watch(&["begin.txt"], &[]));
        }
        self.watcher.set(services, BTreeSet::new());
        self.write("begin.txt", "begin");
        self.next().await;
    }

    /// The next change. Warnings about missing paths are not one, and collected.
    async fn next_change(&mut self) -> WatchReport {
        loop {
            let change = tokio::time::timeout(DEADLINE, self.changes.recv()).await;
            match change.expect("a change within the deadline").expect("watcher is running") {
                WatchReport::Degraded(message)
                    if message.text.ends_with(": path does not exist yet") =>
                {
                    self.waits.push(message.text.replace(&format!("{}/", self.top.display()), ""));
                }
                WatchReport::StillChanging(_) => {}
                change => return change,
            }
        }
    }

    /// The next report that is not a change.
    async fn message(&mut self) -> Message {
        match self.next_change().await {
            WatchReport::Degraded(message) => message,
            change @ (WatchReport::Services(_)
            | WatchReport::Config(_)
            | WatchReport::StillChanging(_)) => {
                panic!("unexpected {change:?}")
            }
        }
    }

    /// The services of the next change, with paths relative to the fixture.
    async fn next(&mut self) -> BTreeMap<String, PathBuf> {
        match self.next_change().await {
            WatchReport::Services(services) => services
                .into_iter()
                .map(|(name, path)| {
                    let path = path.strip_prefix(&self.top).unwrap_or(&path).to_owned();
                    (name.service.to_string(), path)
                })
                .collect(),
            WatchReport::Config(files) => panic!("unexpected {files:?}"),
            change @ (WatchReport::Degraded(_) | WatchReport::StillChanging(_)) => {
                panic!("unexpected {change:?}")
            }
        }
    }

    /// The file of the next change for `api`.
    async fn file(&mut self) -> PathBuf {
        self.next().await.remove("api").expect("a change for api")
    }

    /// Asserts that nothing was reported since the last change.
    fn nothing_told(&mut self) {
        while let Ok(change) = self.changes.try_recv() {
            assert!(matches!(change, WatchReport::StillChanging(_)), "{change:?}");
        }
    }

    /// Asserts that nothing else is reported: a new file is the next change.
    async fn quiet(&mut self) {
        let name = "quiet-now.py".to_owned();
        self.write(&name, "quiet");
        assert_eq!(self.file().await, Path::new(&name));
        fs::remove_file(self.path(&name)).unwrap();
        assert_eq!(self.file().await, Path::new(&name));
    }
}
