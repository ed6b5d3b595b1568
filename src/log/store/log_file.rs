use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::index_entry::IndexEntry;
use super::log_dir::LogDir;
use crate::log::lock_unpoisoned;
use crate::log::log_size::LogSize;
use crate::log::log_source::LogSource;

/// One log file of a service, with its index. The current one is open. Rotated ones are opened when
/// they are read: those of a hundred services would need too many descriptors.
pub(crate) struct LogFile {
    /// Number among the files of the service, from 1.
    pub number: u64,
    /// How much the service had printed before this file.
    pub before: LogSize,
    state: Mutex<FileState>,
}

enum FileState {
    /// The current file.
    Open(Arc<LogFilePair>),
    /// A rotated file.
    Closed(Arc<LogDir>, LogSource),
    /// Removed. Readers that had not finished lose the rest.
    Gone,
}

impl LogFile {
    /// Creates the current files of a source, empty.
    pub fn create(
        dir: &LogDir,
        source: &LogSource,
        number: u64,
        before: LogSize,
    ) -> io::Result<LogFile> {
        let [log, index] = current(source);
        let files = LogFilePair { log: dir.create_file(&log)?, index: dir.create_file(&index)? };
        (&files.index).write_all(&IndexHeader { number, before }.encode())?;
        Ok(LogFile { number, before, state: Mutex::new(FileState::Open(Arc::new(files))) })
    }

    pub fn newest(header: IndexHeader, files: LogFilePair) -> LogFile {
        let IndexHeader { number, before } = header;
        LogFile { number, before, state: Mutex::new(FileState::Open(Arc::new(files))) }
    }

    pub fn old(header: IndexHeader, dir: Arc<LogDir>, source: LogSource) -> LogFile {
        let IndexHeader { number, before } = header;
        LogFile { number, before, state: Mutex::new(FileState::Closed(dir, source)) }
    }

    /// Returns the files, to write or to read; fails if they were removed.
    pub fn files(&self) -> io::Result<Arc<LogFilePair>> {
        match &*lock_unpoisoned(&self.state) {
            FileState::Open(files) => Ok(files.clone()),
            FileState::Closed(dir, source) => {
                let [log, index] = old(source, self.number);
                Ok(Arc::new(LogFilePair { log: dir.read(&log)?, index: dir.read(&index)? }))
            }
            FileState::Gone => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Renames the current files to rotated ones and closes them.
    pub fn rotate_out(&self, dir: &Arc<LogDir>, source: &LogSource) -> io::Result<()> {
        // The log first: the index has the number to find it either way, see `open_existing`.
        for (from, to) in current(source).iter().zip(&old(source, self.number)) {
            dir.rename(from, to)?;
        }
        *lock_unpoisoned(&self.state) = FileState::Closed(dir.clone(), source.clone());
        Ok(())
    }

    /// Takes the files away from readers and returns the names to remove.
    pub fn remove(&self, source: &LogSource) -> [String; 2] {
        *lock_unpoisoned(&self.state) = FileState::Gone;
        old(source, self.number)
    }

    /// Opens the files of an ended stack whose index is called `name`.
    pub fn open_existing(
        dir: &LogDir,
        source: &LogSource,
        name: &str,
    ) -> io::Result<(IndexHeader, LogFilePair)> {
        let index = dir.read(name)?;
        let mut bytes = [0; IndexHeader::SIZE];
        index.read_exact_at(&mut bytes, 0)?;
        let header = IndexHeader::decode(&bytes).ok_or(io::ErrorKind::InvalidData)?;
        let [log_now, index_now] = current(source);
        let [log, _] = old(source, header.number);
        let log = match dir.read(&log) {
            // Tried second: a rotation killed halfway has renamed the log, but not the index.
            Err(error) if error.kind() == io::ErrorKind::NotFound && *name == index_now => {
                dir.read(&log_now)?
            }
            log => log?,
        };
        Ok((header, LogFilePair { log, index }))
    }
}

/// Returns the names of the current log and its index.
pub(super) fn current(source: &LogSource) -> [String; 2] {
    let stem = source.file_stem();
    [format!("{stem}.log"), format!("{stem}.idx")]
}

/// Returns the names of a rotated log and its index.
fn old(source: &LogSource, number: u64) -> [String; 2] {
    let stem = source.file_stem();
    [format!("{stem}.{number}.log"), format!("{stem}.{number}.idx")]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexHeader {
    pub number: u64,
    /// How much the service had printed before this file.
    pub before: LogSize,
}

/// First bytes of an index; the digit is the version of the format.
const MAGIC: &[u8; 8] = b"dslogix2";

impl IndexHeader {
    /// Size in the index, in bytes.
    pub const SIZE: usize = 32;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.before.lines.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.before.bytes.to_le_bytes());
        bytes
    }

    /// Decodes a header; `None` for other data or another version.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Option<IndexHeader> {
        let long = |at: usize| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a slice of eight bytes"))
        };
        (&bytes[..8] == MAGIC).then(|| IndexHeader {
            number: long(8),
            before: LogSize { lines: long(16), bytes: long(24) },
        })
    }
}

pub(crate) struct LogFilePair {
    /// Output of the service, byte for byte.
    pub log: File,
    /// An [`IndexHeader`], then one [`IndexEntry`] after another.
    pub index: File,
}

impl LogFilePair {
    /// Returns the offset of an entry in the index.
    pub fn entry_offset(number: u64) -> u64 {
        IndexHeader::SIZE as u64 + number * IndexEntry::SIZE as u64
    }

    /// Reads the entries `from..to`, up to the first invalid one.
    pub fn batches(&self, from: u64, to: u64) -> io::Result<Vec<IndexEntry>> {
        let mut bytes = vec![0; (to - from) as usize * IndexEntry::SIZE];
        self.index.read_exact_at(&mut bytes, Self::entry_offset(from))?;
        let (records, _) = bytes.as_chunks::<{ IndexEntry::SIZE }>();
        Ok(records.iter().map_while(IndexEntry::decode).collect())
    }

    pub fn bytes(&self, batch: &IndexEntry) -> io::Result<Bytes> {
        let mut bytes = vec![0; batch.len as usize];
        self.log.read_exact_at(&mut bytes, batch.offset)?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_index() {
        let header = IndexHeader { number: 7, before: LogSize { lines: 3, bytes: 1 << 40 } };
        assert_eq!(IndexHeader::decode(&header.encode()), Some(header));
        assert_eq!(IndexHeader::decode(&[0; IndexHeader::SIZE]), None);
        let mut older = header.encode();
        older[7] = b'1';
        assert_eq!(IndexHeader::decode(&older), None);
    }
}
