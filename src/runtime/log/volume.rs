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

/// One log file of a service, with its index. The one that is written is open. One that was put away is
/// opened by who reads it: a hundred services with some old files each would need too many descriptors.
pub(super) struct Volume {
    /// Counts the files of a service, from 1.
    pub number: u64,
    /// How much the service had printed before this file.
    pub before: Amount,
    slot: Mutex<Slot>,
}

enum Slot {
    /// It is written.
    Open(Arc<Files>),
    /// It was put away.
    Closed(Arc<Folder>, Voice),
    /// It was removed. Readers that were not done with it have lost the rest.
    Gone,
}

impl Volume {
    /// The files of `voice` that are written, new and empty.
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

    /// The newest files of a stack that has ended.
    pub fn newest(header: Header, files: Files) -> Volume {
        let Header { number, before } = header;
        Volume { number, before, slot: Mutex::new(Slot::Open(Arc::new(files))) }
    }

    /// Old files of a stack that has ended.
    pub fn old(header: Header, folder: Arc<Folder>, voice: Voice) -> Volume {
        let Header { number, before } = header;
        Volume { number, before, slot: Mutex::new(Slot::Closed(folder, voice)) }
    }

    /// The files, to write or to read; fails when they are gone.
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

    /// Gives the files that are written the name of old ones, and closes them.
    pub fn put_away(&self, folder: &Arc<Folder>, voice: &Voice) -> io::Result<()> {
        // First the log: the index says by its number which log it belongs to, see `find`.
        for (from, to) in current(voice).iter().zip(&old(voice, self.number)) {
            folder.rename(from, to)?;
        }
        *lock(&self.slot) = Slot::Closed(folder.clone(), voice.clone());
        Ok(())
    }

    /// Takes the files from everybody; the names that are to be removed.
    pub fn discard(&self, voice: &Voice) -> [String; 2] {
        *lock(&self.slot) = Slot::Gone;
        old(voice, self.number)
    }

    /// Opens the files that a stack left whose index is called `name`.
    pub fn find(folder: &Folder, voice: &Voice, name: &str) -> io::Result<(Header, Files)> {
        let index = folder.read(name)?;
        let mut bytes = [0; Header::SIZE];
        index.read_exact_at(&mut bytes, 0)?;
        let header = Header::decode(&bytes).ok_or(io::ErrorKind::InvalidData)?;
        let [log_now, index_now] = current(voice);
        let [log, _] = old(voice, header.number);
        let log = match folder.read(&log) {
            // Whoever was killed while it put them away had renamed the log already, so this comes second.
            Err(error) if error.kind() == io::ErrorKind::NotFound && *name == index_now => {
                folder.read(&log_now)?
            }
            log => log?,
        };
        Ok((header, Files { log, index }))
    }
}

/// The names of the log that is written, and of its index.
pub(super) fn current(voice: &Voice) -> [String; 2] {
    let stem = voice.stem();
    [format!("{stem}.log"), format!("{stem}.idx")]
}

/// The names of files that were put away.
fn old(voice: &Voice, number: u64) -> [String; 2] {
    let stem = voice.stem();
    [format!("{stem}.{number}.log"), format!("{stem}.{number}.idx")]
}

/// What an index starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The number of the file.
    pub number: u64,
    /// How much the service had printed before.
    pub before: Amount,
}

/// The first bytes of an index; the digit is the version of its form.
const MAGIC: &[u8; 8] = b"dslogix2";

impl Header {
    /// Its size in the index.
    pub const SIZE: usize = 32;

    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.before.lines.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.before.bytes.to_le_bytes());
        bytes
    }

    /// Back from the index; `None`: it is none, or of another version.
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

/// The two files of a volume.
pub(super) struct Files {
    /// What the service wrote, byte for byte.
    pub log: File,
    /// A [`Header`], then one [`Batch`] after the other.
    pub index: File,
}

impl Files {
    /// Where a batch stands in the index.
    pub fn place(number: u64) -> u64 {
        Header::SIZE as u64 + number * Batch::SIZE as u64
    }

    /// The batches `from..to` of the index, up to the first that is none.
    pub fn batches(&self, from: u64, to: u64) -> io::Result<Vec<Batch>> {
        let mut bytes = vec![0; (to - from) as usize * Batch::SIZE];
        self.index.read_exact_at(&mut bytes, Self::place(from))?;
        let (records, _) = bytes.as_chunks::<{ Batch::SIZE }>();
        Ok(records.iter().map_while(Batch::decode).collect())
    }

    /// The bytes of a batch.
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
