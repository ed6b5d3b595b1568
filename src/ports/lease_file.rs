//! The lock file of a leased port: it says which devstack has the port.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How much of a lock file is read: paths have up to 4,096 bytes on Linux, and some become escapes.
const LONGEST_TEXT: u64 = 16 * 1024;

/// The content of a lock file, for the messages of other devstacks.
#[derive(Serialize, Deserialize)]
pub struct LeaseLabel {
    pid: u32,
    #[serde(rename = "folder")]
    dir: PathBuf,
}

impl LeaseLabel {
    pub fn lives(&self) -> bool {
        let pid = self.pid.try_into().ok().and_then(rustix::process::Pid::from_raw);
        pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    }
}

/// Returns the project directory from a lock file that process `pid` has open. `None` if it is not
/// a lock file, or was written by another process.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux shows open files"))]
pub fn project_dir_of(file: &File, pid: u32) -> Option<PathBuf> {
    let label = parse_label(file)?;
    (label.pid == pid).then_some(label.dir)
}

/// Writes the owner into the file. The lock works without it, so a full disk is not an error.
pub fn write_label(file: &File, dir: &Path) {
    let label = LeaseLabel { pid: std::process::id(), dir: dir.to_owned() };
    // A path that is not UTF-8 has no JSON form and is left out.
    let mut text = serde_json::to_vec(&label).unwrap_or_default();
    // Pad with blanks to overwrite the previous label. Truncating is avoided: some file systems
    // flush a truncated file to disk when it is closed.
    let before = file.metadata().map_or(0, |found| found.len()).min(LONGEST_TEXT);
    text.resize(text.len().max(usize::try_from(before).expect("at most 16 KiB")), b' ');
    if file.write_all_at(&text, 0).is_err() {
        file.set_len(0).ok();
    }
}

/// Returns `None` for a label that a killed owner left behind.
pub fn read_label(file: &File) -> Option<PathBuf> {
    parse_label(file).filter(LeaseLabel::lives).map(|label| label.dir)
}

pub fn parse_label(file: &File) -> Option<LeaseLabel> {
    let mut text = Vec::new();
    file.take(LONGEST_TEXT).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
