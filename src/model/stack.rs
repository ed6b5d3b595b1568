use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AssignedPort, Name, PortKey, Service, StackProxy};

/// The usual name of the configuration file.
pub const CONFIG_FILE: &str = "devstack.toml";

/// The names under which a configuration is found in a directory, the first that exists.
pub const CONFIG_FILES: [&str; 3] = [CONFIG_FILE, "Procfile.dev", "Procfile"];

/// The file below a project directory that only one devstack locks.
pub const LOCK_FILE: &str = ".devstack/lock";

/// A complete stack: every default filled in, every reference resolved, every port chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// The name of the stack, a slug.
    pub name: String,
    /// The directory of the first configuration file, absolute.
    pub dir: PathBuf,
    /// The services by name. Their dependencies exist and have no cycle.
    pub services: BTreeMap<Name, Arc<Service>>,
    /// The service that an outside `PORT` applies to.
    pub primary: Option<Name>,
    /// Group names, which stand for all replicas of a service.
    pub groups: BTreeMap<Name, Vec<Name>>,
    /// Every file that went into this stack, including optional files that do not exist.
    pub files: BTreeSet<PathBuf>,
    /// Whether changes to these files are applied while the stack runs.
    pub live_reload: bool,
    /// How much output of each service is kept on disk.
    pub logs: LogRetention,
    /// How the proxy serves it; `None`: not at all.
    pub proxy: Option<StackProxy>,
}

/// How much output of one service is kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRetention {
    /// The size in bytes, including the index, at which a log file is rotated.
    pub max_size: u64,
    /// The number of rotated files to keep.
    pub keep: u32,
}

impl Default for LogRetention {
    /// Some days of an ordinary service, or 200 MB of one that floods the log.
    fn default() -> LogRetention {
        LogRetention { max_size: 50_000_000, keep: 3 }
    }
}

impl Stack {
    /// Returns the services a name stands for: one, or the replicas of a group. Empty: unknown.
    pub fn services_named(&self, name: &Name) -> Vec<Name> {
        resolve_name(&self.services, &self.groups, name)
    }

    pub fn ports(&self) -> impl Iterator<Item = (PortKey, &AssignedPort)> {
        self.services.values().flat_map(|service| {
            service.ports.iter().map(|port| (PortKey::new(&service.name, &port.name), port))
        })
    }

    /// Returns the group that a replica belongs to.
    pub fn group_of(&self, member: &Name) -> Option<&Name> {
        self.groups.iter().find(|(_, members)| members.contains(member)).map(|(group, _)| group)
    }
}

/// Resolves the name of a service to itself, and that of a group to its replicas. Empty: unknown.
pub(crate) fn resolve_name<V>(
    services: &BTreeMap<Name, V>,
    groups: &BTreeMap<Name, Vec<Name>>,
    name: &Name,
) -> Vec<Name> {
    match groups.get(name) {
        Some(members) => members.clone(),
        None => services.get_key_value(name).map(|(name, _)| name.clone()).into_iter().collect(),
    }
}

/// A directory that has another path than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirMove {
    /// Its former path.
    pub from: PathBuf,
    /// Its path now.
    pub to: PathBuf,
}

impl DirMove {
    /// Returns where a path leads to now: elsewhere if it was in the directory.
    pub fn path(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.from) {
            Ok(rest) if rest.as_os_str().is_empty() => self.to.clone(),
            Ok(rest) => self.to.join(rest),
            Err(_) => path.to_owned(),
        }
    }

    /// Returns a text with the new path wherever it has the former one.
    pub fn text(&self, text: &str) -> String {
        let (Some(from), Some(to)) = (self.from.to_str(), self.to.to_str()) else {
            return text.to_owned();
        };
        let goes_on =
            |end: Option<char>| end.is_some_and(|c| c.is_alphanumeric() || "-_.".contains(c));
        let (mut moved, mut done) = (String::new(), 0);
        for (at, _) in text.match_indices(from) {
            let end = at + from.len();
            if !goes_on(text[..at].chars().next_back()) && !goes_on(text[end..].chars().next()) {
                moved.push_str(&text[done..at]);
                moved.push_str(to);
                done = end;
            }
        }
        moved.push_str(&text[done..]);
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_a_moved_directory_moves_with_it() {
        let moved = DirMove { from: "/home/me/shop".into(), to: "/srv/store".into() };
        let path = |path: &str| moved.path(Path::new(path)).display().to_string();
        assert_eq!(path("/home/me/shop"), "/srv/store");
        assert_eq!(path("/home/me/shop/api"), "/srv/store/api");
        assert_eq!(path("/home/me/shop2/api"), "/home/me/shop2/api");
        let texts = "/home/me/shop:/home/me/shop/bin:/home/me/shop-2:/x/home/me/shop.old";
        assert_eq!(
            moved.text(texts),
            "/srv/store:/srv/store/bin:/home/me/shop-2:/x/home/me/shop.old"
        );
        assert_eq!(moved.text("file:///home/me/shop/db"), "file:///srv/store/db");
    }
}
