use std::io::{self, PipeReader, PipeWriter};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::mpsc;

/// Chunks of keys that may wait to be taken; the terminal buffers more.
const WAITING: usize = 16;

/// Keys typed by the user, read by a thread because a terminal can only be read by blocking. The
/// thread ends with the reader, so that it takes no key that is meant for others.
pub(crate) struct KeyReader {
    keys: mpsc::Receiver<Vec<u8>>,
    _end: PipeWriter,
}

impl KeyReader {
    /// Starts the thread.
    pub fn read() -> io::Result<KeyReader> {
        let (to, keys) = mpsc::channel(WAITING);
        let (end, _end) = io::pipe()?;
        let read = move || {
            let mut chunk = [0; 4096];
            // Ends with the terminal or the receiver.
            while let Ok(count @ 1..) = read_once(&mut chunk, &end) {
                if to.blocking_send(chunk[..count].to_vec()).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("keys".to_owned()).spawn(read)?;
        Ok(KeyReader { keys, _end })
    }

    /// Returns the next keys; `None` if the terminal is gone.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.keys.recv().await
    }
}

fn read_once(chunk: &mut [u8], end: &PipeReader) -> io::Result<usize> {
    let stdin = rustix::stdio::stdin();
    loop {
        let mut ready = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !ready[1].revents().is_empty() {
            return Ok(0);
        }
        if ready[0].revents().is_empty() {
            continue;
        }
        match rustix::io::read(stdin, &mut *chunk) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            other => return Ok(other?),
        }
    }
}
