//! The lock file of a leased port: it says which devstack has the port.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How much of a lock file is read: paths have up to 4,096 bytes on Linux, and some become escapes.
const LONGEST_TEXT: usize = 16 * 1024;

/// How often a label that cannot be parsed is read again: its owner may be writing it.
const READS: usize = 8;

/// The content of a lock file, for the messages of other devstacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseLabel {
    pub pid: u32,
    /// `None` if the path is not UTF-8.
    #[serde(default, rename = "folder")]
    pub dir: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// The second line of a lock file.
#[derive(Debug, Default, Deserialize)]
struct ServiceLabel {
    stack: Option<String>,
    service: Option<String>,
}

impl LeaseLabel {
    /// Returns the label of a stack of this process.
    pub fn of(dir: &Path) -> LeaseLabel {
        let dir = dir.to_str().map(PathBuf::from);
        LeaseLabel { pid: std::process::id(), dir, stack: None, service: None }
    }

    pub fn lives(&self) -> bool {
        let pid = self.pid.try_into().ok().and_then(rustix::process::Pid::from_raw);
        pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
    }
}

/// Returns the label in a lock file that process `pid` has open. `None` if it is not a lock file,
/// or was written by another process.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux shows open files"))]
pub fn label_of(file: &File, pid: u32) -> Option<LeaseLabel> {
    parse_label(file).filter(|label| label.pid == pid)
}

/// Writes the owner into the file, and on a line of its own its service. The first line never
/// changes while the lease lasts, so it can be read whole while the second one is written. The lock works without it, so a full disk is not an error.
pub fn write_label(file: &File, label: &LeaseLabel) {
    let owner = LeaseLabel { stack: None, service: None, ..label.clone() };
    let LeaseLabel { stack, service, .. } = label;
    let service = serde_json::json!({ "stack": stack, "service": service });
    let mut text = serde_json::to_vec(&owner).unwrap_or_default();
    text.extend(format!("\n{service}\n").into_bytes());
    // Pad with blanks to overwrite the previous label. Truncating is avoided: some file systems
    // flush a truncated file to disk when it is closed.
    let before = file.metadata().map_or(0, |found| found.len());
    let before = usize::try_from(before).unwrap_or(LONGEST_TEXT).min(LONGEST_TEXT);
    text.resize(text.len().max(before), b' ');
    if file.write_all_at(&text, 0).is_err() {
        file.set_len(0).ok();
    }
}

/// Returns `None` for a label that a killed owner left behind.
pub fn read_label(file: &File) -> Option<LeaseLabel> {
    parse_label(file).filter(LeaseLabel::lives)
}

/// Returns the label in the file, of whatever process. `None` if it has none.
pub fn parse_label(file: &File) -> Option<LeaseLabel> {
    let mut text = vec![0; LONGEST_TEXT];
    for _ in 0..READS {
        let length = read_once(file, &mut text).ok().filter(|length| *length > 0)?;
        let mut lines = text[..length].split(|byte| *byte == b'\n');
        let owner = lines.next().map(serde_json::from_slice::<LeaseLabel>);
        if let Some(Ok(owner)) = owner {
            let service = lines.next().and_then(|line| serde_json::from_slice(line).ok());
            let ServiceLabel { stack, service } = service.unwrap_or_default();
            return Some(LeaseLabel {
                stack: stack.or(owner.stack),
                service: service.or(owner.service),
                ..owner
            });
        }
        std::thread::yield_now();
    }
    None
}

/// Reads the file in one call: a file that grows between two calls gives the end of one label after
/// the beginning of another.
fn read_once(file: &File, text: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read_at(text, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Barrier;

    use super::{LeaseLabel, parse_label, write_label};

    /// A label that grows while it is read is one of the two.
    #[test]
    fn a_label_is_read_whole_while_its_service_is_written() {
        let place = tempfile::tempdir().unwrap();
        let short = LeaseLabel::of(Path::new("/home/someone/projects/shop"));
        let long = LeaseLabel { service: Some("web".repeat(10)), ..short.clone() };
        for round in 0..2_000 {
            let path = place.path().join(format!("{round}.lock"));
            let mut options = std::fs::File::options();
            let file = options.read(true).write(true).create(true).open(path).unwrap();
            write_label(&file, &short);
            let start = Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    write_label(&file, &long);
                });
                start.wait();
                let mut found = parse_label(&file);
                while found.as_ref() == Some(&short) {
                    found = parse_label(&file);
                }
                assert_eq!(found.as_ref(), Some(&long), "round {round}");
            });
        }
    }
}
