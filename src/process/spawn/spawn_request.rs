//! All that a keeper needs to start a program, as a block of bytes that it only has to point into.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sys::posix_spawn::ExecImage;

/// Several times what any system accepts as arguments and environment.
const MAX_REQUEST: usize = 16 << 20;

/// Length of the body, number of arguments, number of variables.
const HEAD: usize = 12;

/// Why a spawn request cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SpawnRequestError {
    /// A string has a NUL byte, which no program can be passed; the text before it.
    Nul(String),
    /// It would exceed `MAX_REQUEST`.
    TooLong,
}

/// Encodes working directory, path of the program, arguments from the zeroth on, variables.
pub(super) fn encode(
    dir: &Path,
    program: &Path,
    words: &[String],
    env: &[(&OsStr, &OsStr)],
) -> Result<Vec<u8>, SpawnRequestError> {
    let mut block = vec![0; HEAD];
    put(&mut block, &[dir.as_os_str()])?;
    put(&mut block, &[program.as_os_str()])?;
    for word in words {
        put(&mut block, &[OsStr::new(word)])?;
    }
    for (name, value) in env {
        put(&mut block, &[name, OsStr::new("="), value])?;
    }
    if block.len() > MAX_REQUEST {
        return Err(SpawnRequestError::TooLong);
    }
    let numbers = [block.len() - HEAD, words.len(), env.len()];
    for (state, number) in block.chunks_exact_mut(4).zip(numbers) {
        state.copy_from_slice(&(number as u32).to_le_bytes());
    }
    Ok(block)
}

fn put(block: &mut Vec<u8>, parts: &[&OsStr]) -> Result<(), SpawnRequestError> {
    for part in parts {
        let bytes = part.as_bytes();
        if let Some(at) = memchr::memchr(0, bytes) {
            return Err(SpawnRequestError::Nul(String::from_utf8_lossy(&bytes[..at]).into_owned()));
        }
        block.extend(bytes);
    }
    block.push(0);
    Ok(())
}

pub(crate) struct SpawnRequest {
    block: Vec<u8>,
    words: usize,
    vars: usize,
}

impl SpawnRequest {
    /// Length of the header, in bytes.
    pub const HEAD: usize = HEAD;

    /// Allocates the body that a header announces; `None` for an invalid header.
    pub fn with_header(head: [u8; HEAD]) -> Option<SpawnRequest> {
        let number = |at: usize| {
            u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize
        };
        let length = number(0);
        (length <= MAX_REQUEST).then(|| SpawnRequest {
            block: vec![0; length],
            words: number(4),
            vars: number(8),
        })
    }

    pub fn body_mut(&mut self) -> &mut [u8] {
        &mut self.block
    }

    /// Returns the parts of the body. `None` when the body does not match the header.
    pub fn exec_image(&self) -> Option<ExecImage<'_>> {
        let mut rest = &self.block[..];
        let mut next = || {
            let text = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[text.to_bytes_with_nul().len()..];
            Some(text)
        };
        let (dir, program) = (next()?, next()?);
        // Not allocated by the count: one that the body does not back must not allocate.
        let mut list = |count: usize| {
            std::iter::repeat_with(&mut next).take(count).try_fold(Vec::new(), |mut list, text| {
                list.push(text?);
                Some(list)
            })
        };
        Some(ExecImage { dir, program, words: list(self.words)?, env: list(self.vars)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn receive(bytes: &[u8]) -> Option<SpawnRequest> {
        let (head, rest) = bytes.split_first_chunk()?;
        let mut parcel = SpawnRequest::with_header(*head)?;
        let length = parcel.body_mut().len();
        parcel.body_mut().copy_from_slice(rest.get(..length)?);
        Some(parcel)
    }

    #[test]
    fn what_is_packed_is_found() {
        let words = ["a".to_owned(), String::new(), "c d".to_owned()];
        let env = [(OsStr::new("K"), OsStr::new("v=w"))];
        let bytes = encode(Path::new("/d"), Path::new("/bin/p"), &words, &env).expect("is valid");
        let parcel = receive(&bytes).expect("complete request");
        let opened = parcel.exec_image().expect("valid request");
        assert_eq!((opened.dir, opened.program), (c"/d", c"/bin/p"));
        assert_eq!(opened.words, [c"a", c"", c"c d"]);
        assert_eq!(opened.env, [c"K=v=w"]);
    }

    #[test]
    fn a_nul_is_refused() {
        let words = ["a\0b".to_owned()];
        let refused = encode(Path::new("/"), Path::new("/p"), &words, &[]);
        assert_eq!(refused, Err(SpawnRequestError::Nul("a".to_owned())));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(parcel) = receive(&bytes) {
                let _ = parcel.exec_image().is_some();
            }
        }
    }
}
