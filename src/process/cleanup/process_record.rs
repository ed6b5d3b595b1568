use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::process_identity::ProcessIdentity;
use crate::atomic_file::{self, read_limited, set_aside};
use crate::sys::process;

const VERSION: u32 = 1;

/// In bytes. devstack writes no larger file: a run takes about 150 bytes.
const LARGEST: u64 = 4 << 20;

/// A shorter token might match processes that are not ours.
pub(super) const MIN_TOKEN_LEN: usize = 16;

/// What a stack keeps on disk so that its processes can be found after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessRecord {
    version: u32,
    /// Boot and pid namespace: pids of another one mean nothing.
    pub era: String,
    /// The value of `DEVSTACK_RUN` in the environment of every service.
    pub token: String,
    /// The devstack that runs the stack.
    pub supervisor: Option<ProcessIdentity>,
    pub guard: Option<ProcessIdentity>,
    /// Keeper and main process by run number.
    pub runs: BTreeMap<u64, [ProcessIdentity; 2]>,
}

impl ProcessRecord {
    /// A record of this process without runs.
    pub fn new(token: String, guard: u32) -> ProcessRecord {
        ProcessRecord {
            version: VERSION,
            era: process::boot_id().unwrap_or_default(),
            token,
            supervisor: ProcessIdentity::of(std::process::id()),
            guard: ProcessIdentity::of(guard),
            runs: BTreeMap::new(),
        }
    }

    /// A record of the token alone, when the file is lost.
    pub fn from_token(token: &str) -> ProcessRecord {
        ProcessRecord {
            version: VERSION,
            era: String::new(),
            token: token.to_owned(),
            supervisor: None,
            guard: None,
            runs: BTreeMap::new(),
        }
    }

    /// Reads the file without changing anything. `None` when there is no file.
    pub fn peek(path: &Path) -> io::Result<Option<ProcessRecord>> {
        let Some(text) = text_of(path)? else { return Ok(None) };
        let nonsense = || io::Error::other(format!("{} is corrupt", path.display()));
        parse(&text).map(Some).ok_or_else(nonsense)
    }

    /// Reads the file; `None` when there is none. Renames a corrupt one and returns an error.
    pub fn read(path: &Path) -> io::Result<Option<ProcessRecord>> {
        let Some(text) = text_of(path)? else { return Ok(None) };
        match parse(&text) {
            Some(record) => Ok(Some(record)),
            None => Err(io::Error::other(set_aside(path).unwrap_or_else(|why| why))),
        }
    }

    /// Replaces the file atomically. No fsync: after a system crash there are no processes to find.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        atomic_file::replace(path, |file| file.write_all(&text))
    }
}

/// `None` when there is no file.
fn text_of(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_limited(path, LARGEST) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(text: &[u8]) -> Option<ProcessRecord> {
    let whole = text.len() as u64 <= LARGEST;
    let record: ProcessRecord = whole.then(|| serde_json::from_slice(text).ok())??;
    (record.version == VERSION && record.token.len() >= MIN_TOKEN_LEN).then_some(record)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record() -> ProcessRecord {
        let me = ProcessIdentity::of(std::process::id()).expect("is alive");
        let mut record = ProcessRecord::new("0123456789abcdef".to_owned(), me.pid);
        record.runs.insert(7, [me, me]);
        record
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("runs.json");
        assert_eq!(ProcessRecord::read(&path).expect("no record"), None);
        record().write(&path).expect("writable");
        assert_eq!(ProcessRecord::read(&path).expect("valid record"), Some(record()));
        assert_eq!(fs::read_dir(dir.path()).expect("dir exists").count(), 1, "no draft is left");
    }

    #[test]
    fn garbage_is_kept_aside_and_said() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("runs.json");
        let mut short = record();
        short.token.truncate(3);
        let short = serde_json::to_string(&short).expect("serializable");
        let other = serde_json::to_string(&record()).expect("serializable");
        let other = other.replace("\"version\":1", "\"version\":2");
        let huge = " ".repeat(LARGEST as usize + 1);
        for garbage in ["", "{", "[]", "\0", &short, &other, &huge] {
            fs::write(&path, garbage).expect("writable");
            let error = ProcessRecord::peek(&path).expect_err("it is corrupt");
            assert!(error.to_string().ends_with("is corrupt") && path.exists());
            let error = ProcessRecord::read(&path).expect_err("it is corrupt");
            assert!(error.to_string().ends_with("runs.json.bad"), "{error}");
            let aside = fs::read_to_string(dir.path().join("runs.json.bad")).expect("renamed file");
            assert!(aside == garbage && !path.exists());
        }
    }

    #[test]
    fn an_identity_is_more_than_a_number() {
        let mut child =
            std::process::Command::new("sleep").arg("60").spawn().expect("sleep exists");
        let identity = ProcessIdentity::of(child.id()).expect("is alive");
        assert!(identity.is_alive());
        assert!(!ProcessIdentity { born: identity.born + 1, ..identity }.is_alive());
        child.kill().expect("our child");
        child.wait().expect("our child");
        assert!(!identity.is_alive());
    }
}
