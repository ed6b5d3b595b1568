use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic_file::{self, set_aside};
use crate::model::{DirMove, PortKey};

/// The ports a stack had last time: a small file in its state directory.
#[derive(Debug)]
pub struct PortHistory {
    path: PathBuf,
    entries: BTreeMap<String, HistoryEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HistoryEntry {
    wanted: Option<u16>,
    number: u16,
    /// The program cannot bind a port that is held.
    #[serde(default, skip_serializing_if = "is_false")]
    unheld: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(it: &bool) -> bool {
    !it
}

#[derive(Serialize, Deserialize)]
struct HistoryFile {
    version: u32,
    ports: BTreeMap<String, HistoryEntry>,
}

const VERSION: u32 = 1;

/// A larger file is not ours: a port takes about 100 bytes, and there are at most `MOST`.
const LARGEST: u64 = 256 * 1024;

/// How many ports are remembered. Beyond that, most belong to services renamed long ago.
const MOST: usize = 1_000;

impl PortHistory {
    /// Reads the file. An invalid one is moved aside as `.bad`, which the returned text reports.
    pub fn open(path: &Path) -> (PortHistory, Option<String>) {
        let (entries, trouble) = match atomic_file::read(path, LARGEST, parse) {
            Ok(entries) => (entries.unwrap_or_default(), None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                (BTreeMap::new(), Some(set_aside(path).unwrap_or_else(|why| why)))
            }
            Err(error) => {
                (BTreeMap::new(), Some(format!("cannot read {}: {error}", path.display())))
            }
        };
        (PortHistory { path: path.to_owned(), entries }, trouble)
    }

    /// Reads the file if it exists and is valid; never changes anything.
    pub fn look(path: Option<&Path>) -> PortHistory {
        let read = |path: &Path| atomic_file::read(path, LARGEST, parse).ok().flatten();
        let entries = path.and_then(read).unwrap_or_default();
        PortHistory { path: path.map_or_else(PathBuf::new, Path::to_owned), entries }
    }

    /// Returns the number that this port had last time, if the same number was requested then.
    pub fn last(&self, key: &PortKey, wanted: Option<u16>) -> Option<u16> {
        let entry = self.entries.get(&key.id())?;
        (entry.wanted == wanted && entry.number > 0).then_some(entry.number)
    }

    pub fn is_hold_disabled(&self, key: &PortKey) -> bool {
        self.entries.get(&key.id()).is_some_and(|entry| entry.unheld)
    }

    /// Records that the program on this port cannot bind a held port.
    pub fn disable_hold(&mut self, key: &PortKey) -> io::Result<()> {
        match self.entries.get_mut(&key.id()) {
            Some(entry) if !entry.unheld => {
                entry.unheld = true;
                self.write()
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Records the assigned ports and writes the file if it changes. Ports of other services stay.
    pub fn keep<'a>(
        &mut self,
        given: impl Iterator<Item = (&'a PortKey, Option<u16>, u16)>,
    ) -> io::Result<()> {
        let mut entries = self.entries.clone();
        let mut current = BTreeMap::new();
        for (key, wanted, number) in given {
            let unheld = self.is_hold_disabled(key);
            current.insert(key.id(), HistoryEntry { wanted, number, unheld });
        }
        entries.extend(current.clone());
        if entries.len() > MOST {
            entries = current;
        }
        if entries == self.entries {
            return Ok(());
        }
        self.entries = entries;
        self.write()
    }

    /// Notes that the project directory was moved, and the file with it.
    pub fn relocate(&mut self, moved: &DirMove) {
        self.path = moved.path(&self.path);
    }

    /// Replaces the file atomically.
    fn write(&self) -> io::Result<()> {
        let stored = HistoryFile { version: VERSION, ports: self.entries.clone() };
        let mut text = serde_json::to_vec_pretty(&stored)?;
        text.push(b'\n');
        atomic_file::replace_in_state_dir(&self.path, &text)
    }
}

fn parse(text: &[u8]) -> Option<BTreeMap<String, HistoryEntry>> {
    // A full disk may have left it empty.
    if text.is_empty() {
        return Some(BTreeMap::new());
    }
    let stored: HistoryFile = serde_json::from_slice(text).ok()?;
    (stored.version == VERSION).then_some(stored.ports)
}

/// What was read must survive being written.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &[u8]) {
    if let Some(ports) = parse(text) {
        let stored = HistoryFile { version: VERSION, ports: ports.clone() };
        let written = serde_json::to_vec_pretty(&stored).expect("plain data always serializes");
        assert_eq!(parse(&written), Some(ports));
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGEST, MOST, PortHistory};
    use crate::model::{MAIN_PORT, Name, PortKey};

    fn key(service: &str) -> PortKey {
        PortKey::new(&Name::new(service).unwrap(), MAIN_PORT)
    }

    #[test]
    fn what_was_given_is_known_again_for_the_same_wish() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ports.json");
        let (mut first, trouble) = PortHistory::open(&path);
        assert_eq!(trouble, None);
        let (api, web) = (key("api"), key("web"));
        first.keep([(&api, Some(5000), 5001), (&web, None, 20_123)].into_iter()).unwrap();
        first.keep([(&web, None, 20_124)].into_iter()).unwrap();

        let (second, trouble) = PortHistory::open(&path);
        assert_eq!(trouble, None);
        assert_eq!(second.last(&api, Some(5000)), Some(5001));
        assert_eq!(second.last(&api, Some(6000)), None);
        assert_eq!(second.last(&web, None), Some(20_124));
        assert_eq!(second.last(&key("db"), None), None);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn garbage_is_kept_aside_and_said() {
        let huge = " ".repeat(LARGEST as usize + 1);
        let other = r#"{"version":2,"ports":{}}"#;
        let range = r#"{"version":1,"ports":{"api/main":{"wanted":null,"number":70000}}}"#;
        for garbage in ["{", "[]", "\0\0\0", other, range, &huge] {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("ports.json");
            std::fs::write(&path, garbage).unwrap();
            let (mut kept, trouble) = PortHistory::open(&path);
            assert!(trouble.unwrap().contains("ports.json.bad"));
            let aside = std::fs::read_to_string(place.path().join("ports.json.bad")).unwrap();
            assert_eq!(aside, garbage);
            kept.keep([(&key("api"), None, 20_000)].into_iter()).unwrap();
            assert_eq!(PortHistory::open(&path).0.last(&key("api"), None), Some(20_000));
        }
    }

    #[test]
    fn the_file_does_not_grow_without_end() {
        let place = tempfile::tempdir().unwrap();
        let (mut kept, _) = PortHistory::open(&place.path().join("ports.json"));
        for round in 0..=MOST {
            kept.keep([(&key(&format!("s{round}")), None, 20_000)].into_iter()).unwrap();
        }
        assert!(kept.entries.len() <= MOST);
    }
}
