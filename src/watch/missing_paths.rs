use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::{DisplayPath, Message, MessageClass, WatchId};

/// Paths that services watch but that do not exist. Each is reported once.
#[derive(Debug, Default)]
pub(super) struct MissingPaths(BTreeMap<WatchId, Vec<PathBuf>>);

impl MissingPaths {
    /// Returns the new warnings, given what is missing now.
    pub fn new_warnings<'a>(
        &mut self,
        absent: impl Iterator<Item = (&'a WatchId, Vec<PathBuf>)>,
    ) -> Vec<Message> {
        let mut news = Vec::new();
        for (watched, paths) in absent {
            let name = &watched.service;
            let before = self.0.insert(watched.clone(), paths.clone()).unwrap_or_default();
            let new = paths.iter().filter(|path| !before.contains(path));
            news.extend(new.map(|path| {
                let text =
                    format!("{name} cannot watch {}: path does not exist yet", DisplayPath(path));
                let help = "create it (it is watched once it exists), or fix the service's `watch`";
                Message::new(MessageClass::WatchDegraded, text).help(help)
            }));
        }
        news
    }

    pub fn retain(&mut self, keep: impl Fn(&WatchId) -> bool) {
        self.0.retain(|name, _| keep(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    #[test]
    fn missing_path_is_reported_once_until_it_exists() {
        let mut waits = MissingPaths::default();
        let name = WatchId::first(Name::new("api").unwrap());
        let mut reported = |paths: &[&str]| {
            let paths = paths.iter().map(PathBuf::from).collect();
            waits.new_warnings([(&name, paths)].into_iter()).len()
        };
        assert_eq!([reported(&["/a"]), reported(&["/a"]), reported(&["/a", "/b"])], [1, 0, 1]);
        assert_eq!([reported(&[]), reported(&["/a"])], [0, 1]);
    }
}
