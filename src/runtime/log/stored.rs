use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::batch::Batch;
use super::cursor::{Cursor, From};
use super::folder::Folder;
use super::lane::Lane;
use super::lines;
use super::reader::{Page, page};
use super::segment::{Files, MAGIC};
use crate::model::{Name, Run, Stream};

/// Reads the log of a stack that has ended, also by a crash: pages of lines in order.
pub struct Stored {
    cursor: Cursor,
}

/// What is read at once, in bytes.
const PAGE: usize = 256 * 1024;

impl Stored {
    /// The services that left a log in `dir`.
    pub fn services(dir: &Path) -> io::Result<Vec<Name>> {
        Ok(Folder::open(dir)?.services()?.into_iter().collect())
    }

    /// The log in `dir`: the last `last` lines of each service (`usize::MAX`: all); `services`: only of these.
    ///
    /// Fails when there is no such folder or it cannot be read. Files that are no log are left out.
    pub fn open(dir: &Path, services: Option<&[Name]>, last: usize) -> io::Result<Stored> {
        let folder = Folder::open(dir)?;
        let mut cursor = Cursor::default();
        for name in folder.services()? {
            if services.is_none_or(|names| names.contains(&name)) {
                match lane(&folder, &name) {
                    Ok(lane) => cursor.add(&Arc::new(lane), From::Last(last)),
                    Err(error) => tracing::debug!("{name}.log is left out: {error}"),
                }
            }
        }
        Ok(Stored { cursor })
    }
}

impl Iterator for Stored {
    type Item = Page;

    fn next(&mut self) -> Option<Page> {
        let step = self.cursor.step(u64::MAX, PAGE);
        (!step.chunks.is_empty() || step.missed > 0).then(|| page(step))
    }
}

/// A service's files as they were left.
fn lane(folder: &Folder, name: &Name) -> io::Result<Lane> {
    let log = folder.read(&format!("{name}.log"))?;
    let index = folder.read(&format!("{name}.idx"))?;
    let files = Files { log, index };
    let mut magic = [0; MAGIC.len()];
    files.index.read_exact_at(&mut magic, 0)?;
    if magic != *MAGIC {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let size = files.log.metadata()?.len();
    let written = whole(&files, size)?;
    let last = match written {
        0 => None,
        _ => files.batches(written - 1, written)?.pop(),
    };
    let rest = unindexed(&files, last, size)?;
    Ok(Lane::over(name.clone(), files, written, rest))
}

/// How many batches of the index are whole: the end may be torn, or be about bytes that never
/// reached the log file.
fn whole(files: &Files, size: u64) -> io::Result<u64> {
    let bytes = files.index.metadata()?.len().saturating_sub(MAGIC.len() as u64);
    let (mut low, mut high) = (0, bytes / Batch::SIZE as u64);
    while low < high {
        let middle = low + (high - low) / 2;
        match files.batches(middle, middle + 1)?.first() {
            Some(batch) if batch.end() <= size => low = middle + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// Batches for what lies in the log file after the last one of the index: the supervisor was killed
/// before it wrote that. Whose stream it was is not known; the run is that of the last batch.
fn unindexed(files: &Files, last: Option<Batch>, size: u64) -> io::Result<Vec<Batch>> {
    let changed = files.log.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = i64::try_from(changed.as_millis()).unwrap_or(i64::MAX);
    let (mut offset, mut seq) = last.map_or((0, 0), |last| (last.end(), last.seq_end()));
    let run = last.map_or(Run(0), |last| last.run);
    let mut continues = false;
    let mut batches = Vec::new();
    while offset < size {
        let mut bytes = vec![0; Batch::JOIN_MAX.min((size - offset) as usize)];
        files.log.read_exact_at(&mut bytes, offset)?;
        let len = memchr::memrchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1);
        let open = bytes[len - 1] != b'\n';
        let count = lines::count(&bytes[..len]) as u32;
        let stream = Stream::Stdout;
        batches.push(Batch {
            at,
            seq,
            run,
            offset,
            len: len as u32,
            lines: count,
            stream,
            continues,
            open,
        });
        (offset, seq, continues) = (offset + len as u64, seq + u64::from(count), open);
    }
    Ok(batches)
}
