use std::io::{self, Read, stdin};

use tokio::sync::mpsc;

/// Chunks of keys that may wait to be sent; the terminal buffers more.
const WAITING: usize = 16;

/// Encodings of Ctrl-]: the plain one, and those of extended keyboard protocols.
const DETACH_KEYS: [&[u8]; 3] = [b"\x1d", b"\x1b[93;5u", b"\x1b[27;5;93~"];

/// Keys typed by the user, read by a thread because a terminal can only be read by blocking.
pub(super) struct KeyReader(mpsc::Receiver<Vec<u8>>);

impl KeyReader {
    /// Starts the thread.
    pub fn read() -> io::Result<KeyReader> {
        let (to, keys) = mpsc::channel(WAITING);
        let read = move || {
            let mut chunk = [0; 4096];
            // Ends with the terminal or the receiver.
            while let Ok(count @ 1..) = read_once(&mut chunk) {
                if to.blocking_send(chunk[..count].to_vec()).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("keys".to_owned()).spawn(read)?;
        Ok(KeyReader(keys))
    }

    /// Returns the next keys; `None` if the terminal is gone.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.0.recv().await
    }
}

fn read_once(chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match stdin().read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Returns the keys before the first detach key, and whether there is one.
pub(crate) fn split_at_detach(typed: &[u8]) -> (&[u8], bool) {
    let at = |keys: &&[u8]| memchr::memmem::find(typed, keys);
    match DETACH_KEYS.iter().filter_map(at).min() {
        Some(at) => (&typed[..at], true),
        None => (typed, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_before_leaving_is_still_typed() {
        assert_eq!(split_at_detach(b"c\r"), (&b"c\r"[..], false));
        assert_eq!(split_at_detach(b"c\r\x1dx"), (&b"c\r"[..], true));
        assert_eq!(split_at_detach(b"\x1d\x1d"), (&b""[..], true));
        assert_eq!(split_at_detach(b"a\x1b[93;5u"), (&b"a"[..], true));
        assert_eq!(split_at_detach(b"\x1b[27;5;93~\x1d"), (&b""[..], true));
        assert_eq!(split_at_detach(b"\x1b[93u]"), (&b"\x1b[93u]"[..], false));
    }
}
