use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::sys::signal::process_exists;

/// Maximum size of a record that is read, in bytes; far more than the longest path needs.
const MAX_RECORD: u64 = 64 * 1024;

/// Contents of a lock file, for information only: the lock itself shows whether devstack runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// Process id of the devstack.
    pub pid: u32,
    /// Name of its stack.
    pub stack: String,
    /// Project directory when the stack started; lossy if it is not UTF-8.
    pub dir: String,
    /// Start time in milliseconds since 1970.
    pub since_ms: u64,
    /// Version of the devstack.
    pub devstack: String,
    /// Its socket, if that is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// Marks every process of its services, to find them after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl InstanceRecord {
    pub(super) fn this_process(dir: &Path, stack: &str, socket: &Path) -> InstanceRecord {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        InstanceRecord {
            pid: std::process::id(),
            stack: stack.to_owned(),
            dir: dir.to_string_lossy().into_owned(),
            since_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            devstack: env!("CARGO_PKG_VERSION").to_owned(),
            socket: socket.to_str().map(str::to_owned),
            token: None,
        }
    }

    /// Returns the start time.
    pub fn since(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.since_ms)).unwrap_or(UNIX_EPOCH)
    }

    /// Returns whether a process with this id exists. Proves nothing: ids are reused, and differ
    /// between containers.
    pub(super) fn is_alive(&self) -> bool {
        process_exists(self.pid)
    }

    /// Reads the record from a lock file; `None` if it is empty or invalid.
    pub(super) fn read(mut file: &File) -> Option<InstanceRecord> {
        let mut text = Vec::new();
        file.rewind().ok()?;
        file.take(MAX_RECORD).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Replaces the record. The file is never empty in between, because others read it at any time.
    pub(super) fn write(&self, mut file: &File) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        file.rewind()?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)
    }
}
