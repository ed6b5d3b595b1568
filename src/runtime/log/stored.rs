use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::batch::Batch;
use super::cursor::{Cursor, From};
use super::extent::Kept;
use super::folder::Folder;
use super::lane::{Lane, Newest};
use super::lines;
use super::reader::{Page, page};
use super::voice::Voice;
use super::volume::{Files, Header, Volume};
use super::wanted::Wanted;
use crate::model::{Name, OutputStream, RunId};

/// Reads the log of a stack that has ended or crashed: pages of lines in order.
pub struct Stored {
    cursor: Cursor,
    wanted: Arc<Wanted>,
    /// Filter for status lines; `None`: not wanted.
    said: Option<Arc<Wanted>>,
}

/// Bytes read at once.
const PAGE: usize = 256 * 1024;
/// Index entries read at once.
const READ: usize = 4096;

impl Stored {
    /// Returns the services with a log in `dir`.
    pub fn services(dir: &Path) -> io::Result<Vec<Name>> {
        Ok(Folder::open(dir)?.services()?.into_iter().collect())
    }

    /// Opens the log in `dir` at the last `last` matching lines of each service (`usize::MAX`:
    /// all). `services` restricts it to these. Skips files that are not logs.
    pub fn open(
        dir: &Path,
        services: Option<&[Name]>,
        last: usize,
        wanted: Wanted,
    ) -> io::Result<Stored> {
        let folder = Arc::new(Folder::open(dir)?);
        let wanted = Arc::new(wanted);
        let mut cursor = Cursor::of(wanted.clone());
        let said = wanted.of_said(services).map(Arc::new);
        let mut found: BTreeMap<Voice, Vec<String>> = BTreeMap::new();
        for (voice, index) in folder.indexes()? {
            let is_meant = match &voice {
                Voice::Devstack => said.is_some(),
                Voice::Service(_) if !wanted.has_lines() => false,
                Voice::Service(name) => services.is_none_or(|names| names.contains(name)),
            };
            if is_meant {
                found.entry(voice).or_default().push(index);
            }
        }
        for (voice, indexes) in found {
            let wanted = match (&voice, &said) {
                (Voice::Devstack, Some(said)) => said,
                (Voice::Devstack, None) | (Voice::Service(_), _) => &wanted,
            };
            match lane(&folder, &voice, &indexes) {
                Ok(Some(lane)) => cursor.add_wanted(&Arc::new(lane), From::Last(last), wanted),
                Ok(None) => {}
                Err(error) => tracing::debug!("skipping the log of {voice}: {error}"),
            }
        }
        Ok(Stored { cursor, wanted, said })
    }
}

impl Iterator for Stored {
    type Item = Page;

    fn next(&mut self) -> Option<Page> {
        loop {
            let step = self.cursor.step(u64::MAX, PAGE);
            if step.chunks.is_empty() && step.missed.is_empty() {
                return None;
            }
            let page = page(step, &self.wanted, self.said.as_deref());
            if !page.is_empty() {
                return Some(page);
            }
        }
    }
}

/// Opens the log of one origin: rotated files and the newest.
fn lane(folder: &Arc<Folder>, voice: &Voice, indexes: &[String]) -> io::Result<Option<Lane>> {
    let mut volumes = Vec::new();
    for index in indexes {
        match Volume::find(folder, voice, index) {
            Ok(volume) => volumes.push(volume),
            Err(error) => tracing::debug!("skipping {index}: {error}"),
        }
    }
    volumes.sort_by_key(|(header, _)| header.number);
    let Some((header, files)) = volumes.pop() else { return Ok(None) };
    let mut kept = VecDeque::new();
    let mut last = None;
    for (header, files) in volumes {
        let written = whole(&files, files.log.metadata()?.len())?;
        last = files.batches(written.saturating_sub(1), written)?.pop().or(last);
        // Reopened when it is read: a hundred services have hundreds of files.
        let volume = Arc::new(Volume::old(header, folder.clone(), voice.clone()));
        kept.push_back(Kept { volume, written });
    }
    let size = files.log.metadata()?.len();
    let written = whole(&files, size)?;
    let mut total = header.before;
    // Line numbers continue in the next file.
    last = last.map(|last| Batch { offset: 0, len: 0, ..last });
    for from in (0..written).step_by(READ) {
        let batches = files.batches(from, written.min(from + READ as u64))?;
        batches.iter().for_each(|batch| total += batch.amount());
        last = batches.last().copied().or(last);
    }
    let rest = unindexed(&files, last, size)?;
    rest.iter().for_each(|batch| total += batch.amount());
    let volume = Volume::newest(header, files);
    Ok(Some(Lane::over(voice.clone(), kept, Newest { volume, written, rest, total })))
}

/// Counts the index entries before a torn end, or before bytes that never reached the log file.
fn whole(files: &Files, size: u64) -> io::Result<u64> {
    let bytes = files.index.metadata()?.len().saturating_sub(Header::SIZE as u64);
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

/// Returns entries for output after the last indexed entry: the supervisor was killed before it
/// flushed the index. The stream is unknown, and the run is assumed to be that of the last entry.
fn unindexed(files: &Files, last: Option<Batch>, size: u64) -> io::Result<Vec<Batch>> {
    let changed = files.log.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = i64::try_from(changed.as_millis()).unwrap_or(i64::MAX);
    let (mut offset, mut seq) = last.map_or((0, 0), |last| (last.end(), last.seq_end()));
    let run = last.map_or(RunId(0), |last| last.run);
    let mut continues = false;
    let mut batches = Vec::new();
    while offset < size {
        let mut bytes = vec![0; Batch::JOIN_MAX.min((size - offset) as usize)];
        files.log.read_exact_at(&mut bytes, offset)?;
        let len = memchr::memrchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1);
        let open = bytes[len - 1] != b'\n';
        let count = lines::count(&bytes[..len]) as u32;
        let stream = OutputStream::Stdout;
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
            lost: false,
        });
        (offset, seq, continues) = (offset + len as u64, seq + u64::from(count), open);
    }
    Ok(batches)
}
