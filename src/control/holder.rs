use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// The longest record that is read: a folder name of the longest kind and some words fit many times.
const MAX_RECORD: u64 = 64 * 1024;

/// Who holds a folder: what the lock file says to people. The lock itself says whether it is still true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process id of the devstack.
    pub pid: u32,
    /// The name of its stack.
    pub stack: String,
    /// The folder as it was called when the stack was started; not exact when it is not UTF-8.
    pub dir: String,
    /// When it was started, in milliseconds since 1970.
    pub since_ms: u64,
    /// The version of the devstack.
    pub devstack: String,
    /// What marks every process of its services, so that they are found when nothing else of it is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl Holder {
    /// This process, as the holder of `dir` from now on.
    pub(super) fn this_process(dir: &Path, stack: &str) -> Holder {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Holder {
            pid: std::process::id(),
            stack: stack.to_owned(),
            dir: dir.to_string_lossy().into_owned(),
            since_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            devstack: env!("CARGO_PKG_VERSION").to_owned(),
            token: None,
        }
    }

    /// When it was started.
    pub fn since(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.since_ms)).unwrap_or(UNIX_EPOCH)
    }

    /// Whether there is a process with its id. Not a proof in either direction: ids come again, and
    /// a holder in another container has another id here.
    pub(super) fn is_alive(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
    }

    /// What the lock file says; `None` when it says nothing, or nothing that can be understood.
    pub(super) fn read(mut file: &File) -> Option<Holder> {
        let mut text = Vec::new();
        file.rewind().ok()?;
        file.take(MAX_RECORD).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Replaces what the lock file says. Never empty meanwhile: others read it at any time.
    pub(super) fn write(&self, mut file: &File) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        file.rewind()?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)
    }
}
