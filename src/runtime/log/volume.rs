use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::amount::Amount;
use super::batch::Batch;
use super::folder::Folder;
use super::lock;
use super::voice::Voice;

/// One log file of a service, with its index. The current one is open. Rotated ones are opened when
/// they are read: those of a hundred services would need too many descriptors.
pub(super) struct Volume {
    /// Number among the files of the service, from 1.
    pub number: u64,
    /// How much the service had printed before this file.
    pub before: Amount,
    slot: Mutex<Slot>,
}

enum Slot {
    /// The current file.
    Open(Arc<Files>),
    /// A rotated file.
    Closed(Arc<Folder>, Voice),
    /// Removed. Readers that had not finished lose the rest.
    Gone,
}

impl Volume {
    /// Creates the current files of an origin, empty.
    pub fn create(
        folder: &Folder,
        voice: &Voice,
        number: u64,
        before: Amount,
    ) -> io::Result<Volume> {
        let [log, index] = current(voice);
        let files = Files { log: folder.make(&log)?, index: folder.make(&index)? };
        (&files.index).write_all(&Header { number, before }.encode())?;
        Ok(Volume { number, before, slot: Mutex::new(Slot::Open(Arc::new(files))) })
    }

    pub fn newest(header: Header, files: Files) -> Volume {
        let Header { number, before } = header;
        Volume { number, before, slot: Mutex::new(Slot::Open(Arc::new(files))) }
    }

    pub fn old(header: Header, folder: Arc<Folder>, voice: Voice) -> Volume {
        let Header { number, before } = header;
        Volume { number, before, slot: Mutex::new(Slot::Closed(folder, voice)) }
    }

    /// Returns the files, to write or to read; fails if they were removed.
    pub fn files(&self) -> io::Result<Arc<Files>> {
        match &*lock(&self.slot) {
            Slot::Open(files) => Ok(files.clone()),
            Slot::Closed(folder, voice) => {
                let [log, index] = old(voice, self.number);
                Ok(Arc::new(Files { log: folder.read(&log)?, index: folder.read(&index)? }))
            }
            Slot::Gone => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Renames the current files to rotated ones and closes them.
    pub fn put_away(&self, folder: &Arc<Folder>, voice: &Voice) -> io::Result<()> {
        // The log first: the index has the number to find it either way, see `open_existing`.
        for (from, to) in current(voice).iter().zip(&old(voice, self.number)) {
            folder.rename(from, to)?;
        }
        *lock(&self.slot) = Slot::Closed(folder.clone(), voice.clone());
        Ok(())
    }

    /// Takes the files away from readers and returns the names to remove.
    pub fn discard(&self, voice: &Voice) -> [String; 2] {
        *lock(&self.slot) = Slot::Gone;
        old(voice, self.number)
    }

    /// Opens the files of an ended stack whose index is called `name`.
    pub fn find(folder: &Folder, voice: &Voice, name: &str) -> io::Result<(Header, Files)> {
        let index = folder.read(name)?;
        let mut bytes = [0; Header::SIZE];
        index.read_exact_at(&mut bytes, 0)?;
        let header = Header::decode(&bytes).ok_or(io::ErrorKind::InvalidData)?;
        let [log_now, index_now] = current(voice);
        let [log, _] = old(voice, header.number);
        let log = match folder.read(&log) {
            // Tried second: a rotation killed halfway has renamed the log, but not the index.
            Err(error) if error.kind() == io::ErrorKind::NotFound && *name == index_now => {
                folder.read(&log_now)?
            }
            log => log?,
        };
        Ok((header, Files { log, index }))
    }
}

/// Returns the names of the current log and its index.
pub(super) fn current(voice: &Voice) -> [String; 2] {
    let stem = voice.stem();
    [format!("{stem}.log"), format!("{stem}.idx")]
}

/// Returns the names of a rotated log and its index.
fn old(voice: &Voice, number: u64) -> [String; 2] {
    let stem = voice.stem();
    [format!("{stem}.{number}.log"), format!("{stem}.{number}.idx")]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub number: u64,
    /// How much the service had printed before this file.
    pub before: Amount,
}

/// First bytes of an index; the digit is the version of the format.
const MAGIC: &[u8; 8] = b"dslogix2";

impl Header {
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
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Option<Header> {
        let long = |at: usize| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a slice of eight bytes"))
        };
        (&bytes[..8] == MAGIC).then(|| Header {
            number: long(8),
            before: Amount { lines: long(16), bytes: long(24) },
        })
    }
}

pub(super) struct Files {
    /// Output of the service, byte for byte.
    pub log: File,
    /// An [`IndexHeader`], then one [`IndexEntry`] after another.
    pub index: File,
}

impl Files {
    /// Returns the offset of an entry in the index.
    pub fn place(number: u64) -> u64 {
        Header::SIZE as u64 + number * Batch::SIZE as u64
    }

    /// Reads the entries `from..to`, up to the first invalid one.
    pub fn batches(&self, from: u64, to: u64) -> io::Result<Vec<Batch>> {
        let mut bytes = vec![0; (to - from) as usize * Batch::SIZE];
        self.index.read_exact_at(&mut bytes, Self::place(from))?;
        let (records, _) = bytes.as_chunks::<{ Batch::SIZE }>();
        Ok(records.iter().map_while(Batch::decode).collect())
    }

    pub fn bytes(&self, batch: &Batch) -> io::Result<Bytes> {
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
        let header = Header { number: 7, before: Amount { lines: 3, bytes: 1 << 40 } };
        assert_eq!(Header::decode(&header.encode()), Some(header));
        assert_eq!(Header::decode(&[0; Header::SIZE]), None);
        let mut older = header.encode();
        older[7] = b'1';
        assert_eq!(Header::decode(&older), None);
    }
}
