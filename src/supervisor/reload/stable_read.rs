//! Reads files that may be in the middle of a save.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, spawn_blocking};

/// Maximum number of reads until the files are stable. If they never are, the last read counts, and
/// the next change is reported anyway.
const MAX_READS: usize = 10;

/// A file modified more recently may be half saved. The watcher has already waited this long before
/// its report, so this only catches a second save in quick succession.
const QUIET: Duration = Duration::from_millis(10);

/// The same for an empty file: most programs truncate a file before they write it, and may be
/// interrupted in between.
const QUIET_EMPTY: Duration = Duration::from_millis(100);

/// Identifies the state of a file: size, mtime, inode.
type FileStamp = Option<(u64, (i64, i64), u64)>;

/// Calls `read` until `files` have not changed meanwhile: half a file can be valid too.
///
/// # Errors
/// When `read` panicked.
pub(super) async fn read_when_stable<T: Send + 'static>(
    files: BTreeSet<PathBuf>,
    read: impl Fn() -> T + Send + Sync + 'static,
) -> Result<T, JoinError> {
    let (files, read) = (Arc::new(files), Arc::new(read));
    for _ in 1..MAX_READS {
        let (files, read) = (files.clone(), read.clone());
        let once = move || {
            let before = stamps(&files);
            let found = read();
            let pause = unsettled(&files);
            let same = stamps(&files) == before;
            (found, if same { pause } else { Some(pause.unwrap_or(QUIET)) })
        };
        let (found, pause) = spawn_blocking(once).await?;
        match pause {
            None => return Ok(found),
            Some(pause) => tokio::time::sleep(pause).await,
        }
    }
    spawn_blocking(move || read()).await
}

/// Returns how long until every file has been quiet long enough; `None` if they all have been.
fn unsettled(files: &BTreeSet<PathBuf>) -> Option<Duration> {
    let rest = |path: &PathBuf| {
        let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let quiet = if meta.len() == 0 { QUIET_EMPTY } else { QUIET };
        // An mtime in the future is not that of a save.
        quiet.checked_sub(meta.modified().ok()?.elapsed().ok()?).filter(|rest| !rest.is_zero())
    };
    files.iter().filter_map(rest).max()
}

fn stamps(files: &BTreeSet<PathBuf>) -> Vec<FileStamp> {
    files.iter().map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> FileStamp {
    let meta = fs::metadata(path).ok()?;
    Some((meta.len(), (meta.mtime(), meta.mtime_nsec()), meta.ino()))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn what_is_written_meanwhile_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "").unwrap();
        let files = BTreeSet::from([path.clone(), dir.path().join("absent")]);
        let reads = Arc::new(Mutex::new(Vec::new()));
        let seen = reads.clone();
        let found = read_when_stable(files, move || {
            let text = fs::read_to_string(&path).unwrap();
            if seen.lock().unwrap().is_empty() {
                fs::write(&path, "whole").unwrap();
            }
            seen.lock().unwrap().push(text.clone());
            text
        });
        assert_eq!(found.await.unwrap(), "whole");
        assert_eq!(reads.lock().unwrap().first().map(String::as_str), Some(""));
    }

    #[tokio::test]
    async fn who_writes_without_end_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let reads = Arc::new(Mutex::new(0));
        let seen = reads.clone();
        let files = BTreeSet::from([path.clone()]);
        let done = read_when_stable(files, move || {
            *seen.lock().unwrap() += 1;
            fs::write(&path, "x".repeat(*seen.lock().unwrap())).unwrap();
        });
        done.await.unwrap();
        assert_eq!(*reads.lock().unwrap(), MAX_READS);
    }

    #[test]
    fn what_was_written_long_ago_or_is_to_come_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let files = BTreeSet::from([path.clone()]);
        assert_eq!(unsettled(&files), None);
        let file = fs::File::create(&path).unwrap();
        let now = std::time::SystemTime::now();
        let hour = Duration::from_secs(3600);
        for (time, settled) in [(now - hour, true), (now + hour, true), (now, false)] {
            file.set_modified(time).unwrap();
            assert_eq!(
                unsettled(&files).is_none(),
                settled || now.elapsed().unwrap() > QUIET_EMPTY
            );
        }
    }
}
