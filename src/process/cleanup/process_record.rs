use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::process_identity::ProcessIdentity;
use crate::atomic_file::{self, set_aside};
use crate::model::{EngineAddress, StackContainers};
use crate::sys::process;

const VERSION: u32 = 1;

/// In bytes. devstack writes no larger file: a run takes about 150 bytes.
const LARGEST: u64 = 4 << 20;

/// A shorter token might match processes that are not ours.
const MIN_TOKEN_LEN: usize = 16;

/// What a stack keeps on disk so that its processes can be found after a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessRecord {
    version: u32,
    /// Boot and pid namespace: pids of another one mean nothing.
    pub era: String,
    /// The directory that it was written in. Empty in records of devstack
    /// versions that did not write it.
    #[serde(default)]
    dir: String,
    /// The value of `DEVSTACK_RUN` in the environment of every service.
    pub token: String,
    /// The devstack that runs the stack.
    pub supervisor: Option<ProcessIdentity>,
    pub guard: Option<ProcessIdentity>,
    /// Keeper and main process by run number.
    pub runs: BTreeMap<u64, [ProcessIdentity; 2]>,
    /// The container engines in which the stack has something with its token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<EngineAddress>,
    /// What was asked of them and had not appeared yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub creations: Vec<String>,
    /// The IDs of containers that its commands have created themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopted: Vec<String>,
    /// The IDs of those that they have started, and that stay when they end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borrowed: Vec<String>,
}

impl ProcessRecord {
    pub fn new(token: String, guard: u32) -> ProcessRecord {
        ProcessRecord {
            era: process::boot_id().unwrap_or_default(),
            supervisor: ProcessIdentity::of(std::process::id()),
            guard: ProcessIdentity::of(guard),
            version: VERSION,
            token,
            ..ProcessRecord::default()
        }
    }

    /// A record of the token alone, when the file is lost; `None` if the token is too short to be one.
    pub fn from_token(token: &str) -> Option<ProcessRecord> {
        (token.len() >= MIN_TOKEN_LEN)
            .then(|| ProcessRecord { token: token.to_owned(), ..ProcessRecord::default() })
    }

    /// Reads the file without changing anything. `None` when there is no file.
    pub fn peek(path: &Path) -> io::Result<Option<ProcessRecord>> {
        atomic_file::read(path, LARGEST, parse)
    }

    /// Reads the file; `None` when there is none. Renames a corrupt one and returns an error.
    pub fn read(path: &Path) -> io::Result<Option<ProcessRecord>> {
        ProcessRecord::peek(path).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                io::Error::other(set_aside(path).unwrap_or_else(|why| why))
            }
            _ => error,
        })
    }

    /// Replaces the file atomically. No fsync: after a system crash there are no processes to find.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        atomic_file::make_state_dir_of(path)?;
        let stored = ProcessRecord { dir: directory_of(path)?, ..self.clone() };
        let text = serde_json::to_vec(&stored)?;
        atomic_file::replace(path, atomic_file::PRIVATE, |file| file.write_all(&text))
    }

    /// Returns what the stack may have in container engines. `None`: it used none.
    pub fn containers(&self) -> Option<StackContainers> {
        (!self.engines.is_empty()).then(|| StackContainers {
            token: self.token.clone(),
            engines: self.engines.clone(),
            creations: self.creations.clone(),
            adopted: self.adopted.clone(),
            borrowed: self.borrowed.clone(),
        })
    }

    /// Whether it was written at this path, by this user, since the machine started. Otherwise it
    /// was copied or forged, and its numbers may be those of other processes.
    pub fn is_at(&self, path: &Path) -> bool {
        process::boot_id().is_some_and(|era| era == self.era)
            && directory_of(path).is_ok_and(|dir| dir == self.dir)
    }
}

/// Identifies the directory of a file: device, inode and user. No archive or repository can bring
/// files along that name it.
fn directory_of(path: &Path) -> io::Result<String> {
    let about = fs::metadata(path.parent().unwrap_or(Path::new(".")))?;
    let user = rustix::process::geteuid().as_raw();
    Ok(format!("{}-{}-{user}", about.dev(), about.ino()))
}

fn parse(text: &[u8]) -> Option<ProcessRecord> {
    let record: ProcessRecord = serde_json::from_slice(text).ok()?;
    (record.version == VERSION && record.token.len() >= MIN_TOKEN_LEN).then_some(record)
}

/// What was read must survive being written.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &[u8]) {
    if let Some(record) = parse(text) {
        let written = serde_json::to_vec(&record).expect("plain data always serializes");
        assert_eq!(parse(&written), Some(record));
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            ProcessRecord::read(&path).expect("valid record").map(|read| read.runs),
            Some(record().runs)
        );
        assert_eq!(fs::read_dir(dir.path()).expect("dir exists").count(), 1, "no draft is left");
    }

    #[test]
    fn a_copy_or_a_forgery_is_of_another_directory() {
        let (dir, other) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let (path, copy) = (dir.path().join("runs.json"), other.path().join("runs.json"));
        record().write(&path).expect("writable");
        fs::copy(&path, &copy).expect("writable");
        let read = |path: &Path| ProcessRecord::peek(path).expect("valid").expect("it is there");
        assert!(read(&path).is_at(&path));
        assert!(!read(&copy).is_at(&copy));
        let mut old = record();
        old.era.push('x');
        old.write(&path).expect("writable");
        assert!(!read(&path).is_at(&path), "of another boot");
    }

    #[test]
    fn a_record_without_its_directory_is_valid_but_ends_nothing() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("runs.json");
        let text = serde_json::to_string(&record()).expect("serializable");
        let without = text.replace("\"dir\":\"\",", "");
        assert_ne!(text, without);
        fs::write(&path, without).expect("writable");
        let read = ProcessRecord::read(&path).expect("valid").expect("it is there");
        assert_eq!(read.runs, record().runs);
        assert!(!read.is_at(&path));
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
