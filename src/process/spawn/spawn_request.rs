//! All that is needed to start a program, as a block of bytes that only has to be pointed into.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::spawn_errors;
use crate::model::Message;
use crate::sys::fork_exec::ExecImage;

/// Several times what any system accepts as arguments and environment.
pub(crate) const MAX_REQUEST: usize = 16 << 20;

/// Number of arguments, number of variables.
const HEAD: usize = 8;

/// Encodes working directory, path of the program, arguments from the zeroth on, variables.
pub(super) fn encode(
    dir: &Path,
    program: &Path,
    words: &[String],
    env: &[(&OsStr, &OsStr)],
) -> Result<Vec<u8>, Message> {
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
        return Err(spawn_errors::too_long());
    }
    let numbers = [words.len(), env.len()];
    for (state, number) in block.chunks_exact_mut(4).zip(numbers) {
        state.copy_from_slice(&(number as u32).to_le_bytes());
    }
    Ok(block)
}

fn put(block: &mut Vec<u8>, parts: &[&OsStr]) -> Result<(), Message> {
    for part in parts {
        let bytes = part.as_bytes();
        if let Some(at) = memchr::memchr(0, bytes) {
            return Err(spawn_errors::contains_nul(&String::from_utf8_lossy(&bytes[..at])));
        }
        block.extend(bytes);
    }
    block.push(0);
    Ok(())
}

#[derive(Debug)]
pub(crate) struct SpawnRequest(pub Vec<u8>);

impl SpawnRequest {
    /// Returns the parts of the request. `None` when it does not match its own header.
    pub fn exec_image(&self) -> Option<ExecImage<'_>> {
        let (words, rest) = self.0.split_first_chunk()?;
        let (vars, mut rest) = rest.split_first_chunk()?;
        let [words, vars] = [words, vars].map(|bytes| u32::from_le_bytes(*bytes) as usize);
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
        Some(ExecImage { dir, program, words: list(words)?, env: list(vars)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_packed_is_found() {
        let words = ["a".to_owned(), String::new(), "c d".to_owned()];
        let env = [(OsStr::new("K"), OsStr::new("v=w"))];
        let bytes = encode(Path::new("/d"), Path::new("/bin/p"), &words, &env).expect("is valid");
        let parcel = SpawnRequest(bytes);
        let opened = parcel.exec_image().expect("valid request");
        assert_eq!((opened.dir, opened.program), (c"/d", c"/bin/p"));
        assert_eq!(opened.words, [c"a", c"", c"c d"]);
        assert_eq!(opened.env, [c"K=v=w"]);
    }

    #[test]
    fn a_nul_is_refused() {
        let words = ["a\0b".to_owned()];
        let refused = encode(Path::new("/"), Path::new("/p"), &words, &[]);
        assert_eq!(refused, Err(spawn_errors::contains_nul("a")));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(image) = SpawnRequest(bytes.clone()).exec_image() {
                prop_assert!(image.words.len() + image.env.len() <= bytes.len());
            }
        }
    }
}
