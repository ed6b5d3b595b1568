use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::{Class, Message, Shown, Watched};

/// Which services wait for folders to watch. Each wait is told once.
#[derive(Debug, Default)]
pub(super) struct Waits(BTreeMap<Watched, Vec<PathBuf>>);

impl Waits {
    /// What is to be told, now that this is absent.
    pub fn news<'a>(
        &mut self,
        absent: impl Iterator<Item = (&'a Watched, Vec<PathBuf>)>,
    ) -> Vec<Message> {
        let mut news = Vec::new();
        for (watched, paths) in absent {
            let name = &watched.service;
            let before = self.0.insert(watched.clone(), paths.clone()).unwrap_or_default();
            let new = paths.iter().filter(|path| !before.contains(path));
            news.extend(new.map(|path| {
                let text = format!("{name} is waiting for path {}: nothing is there to watch", Shown(path));
                let help = "it is watched as soon as it is there; if it never will be, see the service's `watch`";
                Message::new(Class::WatchDegraded, text).help(help)
            }));
        }
        news
    }

    /// Drops services that are watched no more.
    pub fn retain(&mut self, keep: impl Fn(&Watched) -> bool) {
        self.0.retain(|name, _| keep(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    #[test]
    fn a_wait_is_told_once_until_it_has_ended() {
        let mut waits = Waits::default();
        let name = Watched::first(Name::new("api").unwrap());
        let mut told = |paths: &[&str]| {
            let paths = paths.iter().map(PathBuf::from).collect();
            waits.news([(&name, paths)].into_iter()).len()
        };
        assert_eq!([told(&["/a"]), told(&["/a"]), told(&["/a", "/b"])], [1, 0, 1]);
        assert_eq!([told(&[]), told(&["/a"])], [0, 1]);
    }
}
