use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::line_filter::LineFilter;
use super::line_joiner::LineJoiner;
use super::log_cursor::LogCursor;
use super::log_items::LogItems;
use crate::log::log_size::LogSize;
use crate::log::log_source::LogSource;
use crate::log::store::{
    IndexEntry, IndexHeader, LogDir, LogFile, LogFilePair, MAX_UNINDEXED_BYTES, NewestFile,
    RotatedFile, ServiceLog,
};
use crate::model::{CursorText, Name, OutputStream, RunId, StartId};

/// Reads the log of a stack that has ended or crashed, in order and a part at a time.
pub struct StoredLogReader {
    cursor: LogCursor,
    wanted: Arc<LineFilter>,
    /// Filter for status lines; `None`: not wanted.
    status: Option<Arc<LineFilter>>,
    joiner: LineJoiner,
    ended: bool,
    /// The start whose log this is, unless an older devstack wrote it.
    start: Option<StartId>,
    is_too_late: bool,
}

/// Where to begin in a stored log.
#[derive(Debug, Clone)]
pub enum StoredFrom {
    /// This many matching lines before the end of each service (`usize::MAX`: all).
    Last(usize),
    /// After this cursor, or with the first line if it is of another start.
    After(CursorText),
}

impl StoredFrom {
    /// Returns how many last lines to read, or the number of the first line.
    fn resolved(&self, start: Option<&StartId>) -> (usize, Option<u64>) {
        match self {
            StoredFrom::Last(last) => (*last, None),
            StoredFrom::After(cursor) => (usize::MAX, Some(cursor.number_in(start))),
        }
    }
}

/// Bytes read at once.
const PAGE: usize = 256 * 1024;
/// Index entries read at once.
const READ: usize = 4096;

impl StoredLogReader {
    /// Returns the services with a log in `dir`.
    pub fn services(dir: &Path) -> io::Result<Vec<Name>> {
        Ok(LogDir::open(dir)?.services()?.into_iter().collect())
    }

    /// Opens the log in `dir`. `services` restricts it to these. Skips files that are not logs.
    pub fn open(
        dir: &Path,
        services: Option<&[Name]>,
        from: StoredFrom,
        mut wanted: LineFilter,
    ) -> io::Result<StoredLogReader> {
        let directory = Arc::new(LogDir::open(dir)?);
        let start = directory.start();
        let (last, first) = from.resolved(start.as_ref());
        wanted.from = wanted.from.or(first);
        let wanted = Arc::new(wanted);
        let mut cursor = LogCursor::default();
        let status = wanted.for_status_lines(services).map(Arc::new);
        let mut found: BTreeMap<LogSource, Vec<String>> = BTreeMap::new();
        for (source, index) in directory.indexes()? {
            let is_meant = match &source {
                LogSource::Devstack => status.is_some(),
                LogSource::Service(_) if !wanted.has_lines() => false,
                LogSource::Service(name) => services.is_none_or(|names| names.contains(name)),
            };
            if is_meant {
                found.entry(source).or_default().push(index);
            }
        }
        for (source, indexes) in found {
            let wanted = match (&source, &status) {
                (LogSource::Devstack, Some(status)) => status,
                (LogSource::Devstack, None) | (LogSource::Service(_), _) => &wanted,
            };
            match log(&directory, &source, &indexes) {
                Ok(Some(service_log)) => {
                    cursor.add(&Arc::new(service_log), wanted.start(last), wanted)
                }
                Ok(None) => {}
                Err(error) => tracing::debug!("skipping the log of {source}: {error}"),
            }
        }
        Ok(StoredLogReader {
            cursor,
            wanted,
            status,
            joiner: LineJoiner::default(),
            ended: false,
            start,
            is_too_late: false,
        })
    }
}

impl StoredLogReader {
    /// The start whose log this is; `None`: an older devstack wrote it.
    pub fn start(&self) -> Option<&StartId> {
        self.start.as_ref()
    }

    /// Whether lines after the requested start may have been removed; known with the first items.
    pub fn is_too_late(&self) -> bool {
        self.is_too_late
    }
}

impl Iterator for StoredLogReader {
    type Item = LogItems;

    fn next(&mut self) -> Option<LogItems> {
        if self.ended {
            return None;
        }
        let until = self.wanted.before;
        let step = self.cursor.step(until.unwrap_or(u64::MAX), PAGE);
        self.ended = step.is_empty();
        self.is_too_late |= step.is_too_late;
        let step = step.joined(&mut self.joiner, self.ended);
        Some(LogItems::of(step, &self.wanted, self.status.as_ref(), until))
    }
}

/// Opens the log of one source: rotated files and the newest.
fn log(
    dir: &Arc<LogDir>,
    source: &LogSource,
    indexes: &[String],
) -> io::Result<Option<ServiceLog>> {
    let mut volumes = Vec::new();
    for index in indexes {
        match LogFile::open_existing(dir, source, index) {
            Ok(volume) => volumes.push(volume),
            Err(error) => tracing::debug!("skipping {index}: {error}"),
        }
    }
    volumes.sort_by_key(|(header, _)| header.number);
    let Some((header, files)) = volumes.pop() else { return Ok(None) };
    let mut kept = VecDeque::new();
    let mut last = None;
    for (header, files) in volumes {
        let written = count_valid_entries(&files, files.log.metadata()?.len())?;
        last = files.batches(written.saturating_sub(1), written)?.pop().or(last);
        // Reopened when it is read: a hundred services have hundreds of files.
        let volume = Arc::new(LogFile::old(header, dir.clone(), source.clone()));
        kept.push_back(RotatedFile { volume, written });
    }
    let size = files.log.metadata()?.len();
    let written = count_valid_entries(&files, size)?;
    let mut total = header.before;
    // Line numbers continue in the next file.
    last = last.map(|last| IndexEntry { offset: 0, len: 0, ..last });
    for from in (0..written).step_by(READ) {
        let batches = files.batches(from, written.min(from + READ as u64))?;
        batches.iter().for_each(|batch| total += batch.amount());
        last = batches.last().copied().or(last);
    }
    let rest = recover_unindexed(&files, last, size)?;
    rest.iter().for_each(|batch| total += batch.amount());
    let volume = LogFile::newest(header, files);
    Ok(Some(ServiceLog::from_files(
        source.clone(),
        kept,
        NewestFile { volume, written, rest, total },
    )))
}

/// Counts the index entries before a torn end, or before bytes that never reached the log file.
fn count_valid_entries(files: &LogFilePair, size: u64) -> io::Result<u64> {
    let bytes = files.index.metadata()?.len().saturating_sub(IndexHeader::SIZE as u64);
    let (mut low, mut high) = (0, bytes / IndexEntry::SIZE as u64);
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
/// Output beyond what may be unindexed is damage, such as a hole of any size, and counts as lost.
fn recover_unindexed(
    files: &LogFilePair,
    last: Option<IndexEntry>,
    size: u64,
) -> io::Result<Vec<IndexEntry>> {
    let changed = files.log.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = i64::try_from(changed.as_millis()).unwrap_or(i64::MAX);
    let (mut offset, mut seq) = last.map_or((0, 0), |last| (last.end(), last.seq_end()));
    let run = last.map_or(RunId(0), |last| last.run);
    let mut continues = false;
    let mut batches = Vec::new();
    let damaged = size.saturating_sub(offset).saturating_sub(MAX_UNINDEXED_BYTES);
    if damaged > 0 {
        let first = IndexEntry::captured(run, OutputStream::Stdout, at, &[]);
        let first = IndexEntry { seq, offset, ..first };
        batches = first.lost_entries(LogSize { lines: 1, bytes: damaged });
        (offset, seq) = (offset + damaged, seq + 1);
    }
    while offset < size {
        let mut bytes = vec![0; IndexEntry::JOIN_MAX.min((size - offset) as usize)];
        files.log.read_exact_at(&mut bytes, offset)?;
        let len = memchr::memrchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1);
        let entry = IndexEntry::captured(run, OutputStream::Stdout, at, &bytes[..len]);
        let mut entry = IndexEntry { seq, offset, continues, ..entry };
        entry.more = entry.open && entry.end() < size;
        (offset, seq, continues) = (entry.end(), entry.seq_end(), entry.open);
        batches.push(entry);
    }
    Ok(batches)
}
