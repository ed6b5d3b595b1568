use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use notify::event::EventKindMask;
use notify::{Config, ErrorKind, PathOp, RecommendedWatcher, Watcher as _};

use super::events::EventInbox;
use super::mount_table::MountTable;
use crate::model::{DisplayPath, Message, MessageClass};
use crate::sys::inotify::BackgroundClose;

/// Maximum number of watched directories; any more are polled. The default limit on Linux is
/// between 8,192 and 1,048,576 for all programs of a user, and each watch costs the kernel about 1
/// kB.
pub(super) const MAX_DIRS: usize = 200_000;

/// FSEvents watches a directory recursively; inotify watches a single directory.
const RECURSIVE: bool = cfg!(target_os = "macos");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum WatchReason {
    /// It contains files of services.
    Tree = 1,
    /// It contains a configuration file, or would if that file existed.
    Config = 2,
    /// A missing directory that should be watched will appear below it.
    Await = 4,
    /// It contains a symlink that leads to watched files, or the target of one.
    Link = 8,
}

/// Directories watched by the system, and those that have to be polled.
pub(crate) struct WatchSet {
    inbox: Arc<EventInbox>,
    /// Created on first use: systems allow few instances, often 128 for all programs of a user.
    notify: Option<RecommendedWatcher>,
    /// The reasons to watch each, as a sum.
    uses: BTreeMap<PathBuf, u8>,
    /// Subset of `uses` that has to be polled.
    unwatched: BTreeSet<PathBuf>,
    max: usize,
    /// Subset of `uses` whose files can change without an event: watched, and polled as well.
    remote: BTreeSet<PathBuf>,
    mounts: MountTable,
    /// The error of the last refused watch.
    refused: Option<String>,
    warned: bool,
    /// Other warnings. Each is reported once.
    news: Vec<Message>,
    told_of: BTreeSet<PathBuf>,
}

impl WatchSet {
    pub fn new(inbox: Arc<EventInbox>, max: usize) -> WatchSet {
        WatchSet {
            inbox,
            notify: None,
            uses: BTreeMap::new(),
            unwatched: BTreeSet::new(),
            max,
            remote: BTreeSet::new(),
            mounts: MountTable::default(),
            refused: None,
            warned: false,
            news: Vec::new(),
            told_of: BTreeSet::new(),
        }
    }

    /// Rereads the mount table and returns the paths where it differs.
    pub fn reload_mounts(&mut self) -> Vec<PathBuf> {
        let before = std::mem::replace(&mut self.mounts, MountTable::now());
        before.differences(&self.mounts)
    }

    /// Watches directories. Existing ones that cannot be watched are polled.
    pub fn watch(&mut self, dirs: impl Iterator<Item = PathBuf>, usage: WatchReason) {
        let mut ops = Vec::new();
        for dir in dirs {
            let uses = self.uses.entry(dir.clone()).or_default();
            let new = *uses == 0;
            *uses |= usage as u8;
            if new {
                self.note_distant(&dir);
                if !self.is_below_recursive(&dir) {
                    ops.push(dir);
                }
            }
        }
        self.add(ops);
    }

    /// Watches these directories and no others for a reason; `held` has those of the last call.
    /// Returns whether some are new.
    pub fn set_watched(
        &mut self,
        held: &mut BTreeSet<PathBuf>,
        need: BTreeSet<PathBuf>,
        usage: WatchReason,
    ) -> bool {
        for dir in held.difference(&need) {
            self.release(dir, usage);
        }
        let missing = |dir: &&PathBuf| !self.holds_for(dir, usage);
        let new: Vec<PathBuf> = need.iter().filter(missing).cloned().collect();
        *held = need;
        let some = !new.is_empty();
        self.watch(new.into_iter(), usage);
        some
    }

    /// Removes one reason to watch a directory; without any it is unwatched.
    pub fn release(&mut self, dir: &Path, usage: WatchReason) {
        let Some(uses) = self.uses.get_mut(dir) else { return };
        *uses &= !(usage as u8);
        if *uses == 0 {
            self.drop_use(dir);
            self.remove(vec![dir.to_owned()]);
        }
    }

    /// Drops the watches on a directory and everything below it, because it is gone.
    pub fn forget(&mut self, dir: &Path) {
        let below = self.uses.range(dir.to_owned()..).map(|(path, _)| path);
        let gone: Vec<PathBuf> = below.take_while(|path| path.starts_with(dir)).cloned().collect();
        for path in &gone {
            self.drop_use(path);
        }
        self.remove(gone);
    }

    fn drop_use(&mut self, dir: &Path) {
        self.uses.remove(dir);
        self.unwatched.remove(dir);
        self.remote.remove(dir);
    }

    /// Starts over, because events were lost and watches may be dead.
    pub fn renew(&mut self) {
        self.notify = None;
        self.unwatched.clear();
        let dirs: Vec<PathBuf> = self.uses.keys().cloned().collect();
        self.add(dirs.into_iter().filter(|path| !self.is_below_recursive(path)).collect());
    }

    /// Retries to watch polled directories.
    pub fn retry(&mut self) {
        // Try a single one first: while there is no room, a retry then costs one call.
        let Some(first) = self.unwatched.pop_first() else { return };
        self.add(vec![first]);
        let was = std::mem::take(&mut self.unwatched);
        if was.is_empty() || self.uses.len() - was.len() > self.max {
            self.unwatched = was;
        } else {
            self.add(was.into_iter().collect());
        }
        if self.unwatched.is_empty() {
            (self.refused, self.warned) = (None, false);
        }
    }

    /// Returns whether this directory is watched or polled.
    pub fn holds(&self, dir: &Path) -> bool {
        self.uses.contains_key(dir)
    }

    fn holds_for(&self, dir: &Path, usage: WatchReason) -> bool {
        self.uses.get(dir).is_some_and(|uses| uses & (usage as u8) != 0)
    }

    /// Returns whether any directory has to be polled.
    pub fn is_polled(&self) -> bool {
        !self.unwatched.is_empty() || !self.remote.is_empty()
    }

    pub fn polled(&self) -> BTreeSet<PathBuf> {
        self.unwatched.union(&self.remote).cloned().collect()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.uses.len()
    }

    /// Takes the warnings for the user, each reported once.
    pub fn take_warnings(&mut self) -> Vec<Message> {
        let mut messages = std::mem::take(&mut self.news);
        if !self.warned && !self.unwatched.is_empty() {
            self.warned = true;
            let (all, bare) = (self.uses.len(), self.unwatched.len());
            let why = self.refused.clone().unwrap_or_default();
            let text = format!(
                "can watch only {} of {all} directories ({why}); polling the others every 2s",
                all - bare
            );
            messages.push(Message::new(MessageClass::WatchDegraded, text).help(limit_help(all)));
        }
        messages
    }

    fn note_distant(&mut self, dir: &Path) {
        let Some((place, kind)) = self.mounts.remote_mount(dir) else { return };
        let (place, kind) = (place.to_owned(), kind.to_owned());
        self.remote.insert(dir.to_owned());
        if self.told_of.insert(place.clone()) {
            let text = format!(
                "files below {} may change without notification ({kind}); polling them every 2s",
                DisplayPath(&place)
            );
            let help =
                "keep them on a local disk, or set the polling interval: watch = { poll = \"1s\" }";
            self.news.push(Message::new(MessageClass::WatchDegraded, text).help(help));
        }
    }

    fn note_denied(&mut self, dir: &Path) {
        if self.told_of.insert(dir.to_owned()) {
            let text = format!("cannot read {}; changes in it will be missed", DisplayPath(dir));
            let help = "exclude it from `watch` with `!`, or make it readable and restart devstack";
            self.news.push(Message::new(MessageClass::WatchDegraded, text).help(help));
        }
    }

    fn is_below_recursive(&self, dir: &Path) -> bool {
        let tree =
            |path| self.uses.get(path).is_some_and(|uses| uses & (WatchReason::Tree as u8) != 0);
        RECURSIVE && dir.ancestors().skip(1).any(tree)
    }

    fn add(&mut self, dirs: Vec<PathBuf>) {
        let room = self.max.saturating_sub(self.uses.len() - self.unwatched.len() - dirs.len());
        let room = room.min(dirs.len());
        let mut ops: Vec<PathOp> = dirs.into_iter().map(watch_op).collect();
        let beyond = ops.split_off(room);
        if !beyond.is_empty() {
            self.refuse(beyond, format!("devstack watches at most {}", self.max));
        }
        while !ops.is_empty() {
            if let Err(error) = self.open() {
                return self.refuse(ops, error);
            }
            let Some(notify) = &mut self.notify else { return };
            let Err(mut error) = notify.update_paths(std::mem::take(&mut ops)) else { return };
            let Some(failed) = error.origin.take() else {
                return tracing::warn!(%error, "cannot watch directories");
            };
            ops = error.remaining;
            match limit(&error.source.kind) {
                Some(why) => {
                    ops.push(failed);
                    return self.refuse(ops, why);
                }
                None => {
                    // It has disappeared or is not readable: there is nothing to watch.
                    tracing::debug!(error = %error.source, path = ?failed.as_path(), "cannot watch a directory");
                    self.drop_use(failed.as_path());
                    if is_denied(&error.source.kind) {
                        self.note_denied(failed.as_path());
                    }
                }
            }
        }
    }

    fn remove(&mut self, dirs: Vec<PathBuf>) {
        let Some(notify) = &mut self.notify else { return };
        let mut ops: Vec<PathOp> = dirs.into_iter().map(PathOp::Unwatch).collect();
        while !ops.is_empty() {
            match notify.update_paths(std::mem::take(&mut ops)) {
                Ok(()) => return,
                // That directory is gone together with its watch; the others must still be removed.
                Err(error) => ops = error.remaining,
            }
        }
    }

    fn open(&mut self) -> Result<(), String> {
        if self.notify.is_none() {
            // notify does not report a failure to start its thread.
            let _ = std::thread::Builder::new().spawn(|| ()).map_err(|_| NO_THREAD)?;
            let inbox = self.inbox.clone();
            // Without OPEN and ATTRIB: neither a read nor a metadata change counts. CLOSE after a
            // write signals that the writer has finished.
            let kinds = EventKindMask::CREATE
                | EventKindMask::REMOVE
                | EventKindMask::MODIFY_DATA
                | EventKindMask::MODIFY_NAME
                | EventKindMask::ACCESS_CLOSE;
            let config = Config::default().with_event_kinds(kinds).with_follow_symlinks(false);
            // Dropped with the handler, after the instance.
            let close = Arc::new(OnceLock::new());
            let kept = close.clone();
            let handler = move |event| {
                let _ = &kept;
                inbox.push(event);
            };
            let (made, prepared) =
                BackgroundClose::of_inotify(|| RecommendedWatcher::new(handler, config));
            if let Some(prepared) = prepared {
                let _ = close.set(prepared);
            }
            let made =
                made.map_err(|error| limit(&error.kind).unwrap_or_else(|| error.to_string()))?;
            if made.watched_paths().is_err() {
                // The thread could be started a moment ago. Dropping the watcher would panic;
                // forgetting it only leaks a descriptor.
                std::mem::forget(made);
                return Err(NO_THREAD.into());
            }
            self.notify = Some(made);
        }
        Ok(())
    }

    fn refuse(&mut self, ops: Vec<PathOp>, why: String) {
        self.refused = Some(why);
        self.unwatched.extend(ops.into_iter().map(PathOp::into_path));
    }
}

fn watch_op(dir: PathBuf) -> PathOp {
    if RECURSIVE { PathOp::watch_recursive(dir) } else { PathOp::watch_non_recursive(dir) }
}

const NO_THREAD: &str = "process limit reached";

/// Names the system limit behind an error, if it is one.
fn limit(kind: &ErrorKind) -> Option<String> {
    match kind {
        ErrorKind::MaxFilesWatch => Some("inotify watch limit reached".into()),
        ErrorKind::Io(error) => {
            let code = error.raw_os_error();
            let files = [Some(libc::EMFILE), Some(libc::ENFILE)].contains(&code);
            files.then(|| "watcher or open file limit reached".into())
        }
        _ => None,
    }
}

fn is_denied(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// What to run so that this many directories can be watched.
fn limit_help(dirs: usize) -> String {
    // Twice what is needed now, since editors watch the same directories.
    let watches = (dirs * 2).max(524_288);
    if cfg!(target_os = "linux") {
        format!(
            "run `sudo sysctl fs.inotify.max_user_watches={watches} fs.inotify.max_user_instances=1024`, or list fewer directories in `watch`"
        )
    } else {
        "list fewer directories in `watch`, or raise the open file limit (`ulimit -n`)".into()
    }
}
