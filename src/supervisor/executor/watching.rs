//! What is watched for the stack and its runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Executor;
use super::own_reloader;
use crate::model::{LOCK_FILE, Message, Name, RunId, Stack, WatchId};
use crate::supervisor::status::reloads_itself;

impl Executor {
    /// Watches what `stack` asks for, its configuration files, and `more` files.
    pub(crate) fn watch(&mut self, stack: &Stack, more: &BTreeSet<PathBuf>) {
        self.more_files = Some(more.clone());
        self.watch_again(stack);
    }

    /// Updates what is watched, once anything is. Files that a program reloads itself count while it
    /// does not run.
    pub(crate) fn watch_again(&mut self, stack: &Stack) {
        let (Some(watcher), Some(more)) = (&mut self.watcher, &self.more_files) else { return };
        let mut services = BTreeMap::new();
        for (name, service) in &stack.services {
            let runs: Vec<_> = self.runs.values().filter(|held| held.name == *name).collect();
            let left = runs.iter().filter_map(|held| held.reloader).flat_map(|it| &it.files);
            let left: Vec<String> = left.cloned().collect();
            for (index, watch) in service.watch.iter().enumerate() {
                let mut watch = watch.clone();
                if watch.action.restarts() {
                    watch.exclude.extend(left.iter().cloned());
                }
                let reloaded = std::mem::take(&mut watch.reloaded);
                if !runs.is_empty() {
                    watch.exclude.extend(reloaded);
                }
                services.insert(WatchId { service: name.clone(), index }, watch);
            }
        }
        let lock = stack.dir.join(LOCK_FILE);
        watcher.set(services, stack.files.union(more).cloned().chain([lock]).collect());
    }

    /// Leaves the files of a run's own reloader to it, after it printed this line. Returns its
    /// service, and what the user should know, once per service.
    pub(crate) fn leave_to_reloader(
        &mut self,
        run: RunId,
        line: &str,
        stack: &Stack,
    ) -> Option<(Name, Message)> {
        let (reloader, output) = own_reloader::printed(line)?;
        let held = self.runs.get_mut(&run)?;
        let service = stack.services.get(&held.name)?;
        let news = service.watch.iter().any(|it| own_reloader::takes_more(reloader, it));
        news.then_some(())?;
        held.reloader = Some(reloader);
        let name = held.name.clone();
        let is_first = self.reloading.insert(name.clone());
        self.watch_again(stack);
        is_first.then(|| (name, reloads_itself(&reloader.files, output.turn_off.as_deref())))
    }

    /// Stops watching. Done early in a shutdown: where the kernel cannot close the watcher in the
    /// background, that takes some milliseconds, which pass while services stop.
    pub(crate) fn unwatch(&mut self) {
        self.watcher = None;
    }
}
