use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::output_fd::OutputFd;
use crate::model::OutputStream;
use crate::sys::async_fd::register;

/// Bytes read of one stream before others have their turn.
const TURN: usize = 256 * 1024;
/// The capacity given to busy pipes. A service may set a larger one.
#[cfg(target_os = "linux")]
const LARGE_PIPE: usize = 1 << 20;
/// A read of this much means that a pipe of the default size was full.
const FULL: usize = 64 * 1024;
/// Half of a user's pipe buffers on Linux (64 MiB): beyond the limit, new pipes of the user shrink.
const MAX_GROWN: usize = 32;

static GROWN_PIPES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// One buffer per thread suffices: nothing runs between a read and its push.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; TURN]);
}

/// The read end of a service's stdout, stderr or pty.
#[derive(Debug)]
pub(crate) struct OutputReader {
    fd: AsyncFd<OutputFd>,
    stream: OutputStream,
    /// Reads in a row that found the pipe full.
    full: u8,
    grown: bool,
}

/// How a turn of reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadProgress {
    /// Nothing to read for now.
    Dry,
    /// There is more, but others have their turn now.
    More,
    /// All writers are gone.
    Closed,
}

impl OutputReader {
    /// Takes a read end. The write end stays blocking, as programs expect.
    pub fn new(source: OutputFd, stream: OutputStream) -> io::Result<OutputReader> {
        rustix::io::ioctl_fionbio(&source, true)?;
        let fd = register(source, Interest::READABLE)?;
        Ok(OutputReader { fd, stream, full: 0, grown: false })
    }

    /// Waits for data or end of file.
    pub async fn ready(&self) {
        // Fails only when the runtime is shutting down; the read then reports the state.
        let _ = self.fd.readable().await.map(|mut ready| ready.retain_ready());
    }

    pub fn read_turn(&mut self, push: &mut dyn FnMut(OutputStream, &[u8])) -> ReadProgress {
        BUFFER.with_borrow_mut(|buffer| {
            let mut taken = 0;
            while taken < TURN {
                let read = |source: &OutputFd| Ok(source.read(&mut buffer[..])?);
                match self.fd.try_io(Interest::READABLE, read) {
                    Ok(0) => return ReadProgress::Closed,
                    Ok(count) => {
                        push(self.stream, &buffer[..count]);
                        taken += count;
                        self.grow_when_full(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return ReadProgress::Dry;
                    }
                    Err(_) => return ReadProgress::Closed,
                }
            }
            ReadProgress::More
        })
    }

    /// Reads what dead writers left, but no more than is there now: an unrelated process that was
    /// given the pipe may write forever.
    pub fn drain(&mut self, push: &mut dyn FnMut(OutputStream, &[u8])) {
        let left = self.fd.get_ref().available();
        BUFFER.with_borrow_mut(|buffer| {
            let mut taken = 0;
            while taken < left {
                match self.fd.get_ref().read(&mut buffer[..]) {
                    Ok(count) if count > 0 => {
                        push(self.stream, &buffer[..count]);
                        taken += count;
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Ok(_) | Err(_) => return,
                }
            }
        });
    }

    /// Two full reads in a row mean that the service is waiting for devstack, so enlarge the pipe.
    fn grow_when_full(&mut self, count: usize) {
        self.full = if count >= FULL { self.full.saturating_add(1) } else { 0 };
        if self.full == 2 && !self.grown && GROWN_PIPES.load(Ordering::Relaxed) < MAX_GROWN {
            self.grown = grow(self.fd.get_ref());
            GROWN_PIPES.fetch_add(self.grown.into(), Ordering::Relaxed);
        }
    }
}

impl Drop for OutputReader {
    fn drop(&mut self) {
        GROWN_PIPES.fetch_sub(self.grown.into(), Ordering::Relaxed);
    }
}

fn grow(source: &OutputFd) -> bool {
    match source {
        #[cfg(target_os = "linux")]
        OutputFd::Pipe(pipe) => rustix::pipe::fcntl_setpipe_size(pipe, LARGE_PIPE).is_ok(),
        // macOS grows pipes on its own.
        #[cfg(not(target_os = "linux"))]
        OutputFd::Pipe(_) => false,
        OutputFd::Terminal(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Write};

    use super::*;

    fn pipe() -> (OutputReader, PipeWriter) {
        let (ours, theirs) = io::pipe().expect("a pipe");
        (OutputReader::new(OutputFd::Pipe(ours), OutputStream::Stdout).expect("a runtime"), theirs)
    }

    fn drained(outlet: &mut OutputReader, mut seen: impl FnMut(&[u8])) -> usize {
        let mut taken = 0;
        outlet.drain(&mut |_, bytes| {
            seen(bytes);
            taken += bytes.len();
        });
        taken
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn all_that_the_dead_left_is_read_however_large_they_made_their_pipe() {
        let (mut outlet, mut theirs) = pipe();
        assert_eq!(drained(&mut outlet, |_| {}), 0);
        // Only root may exceed the system's limit.
        let size = [4 * LARGE_PIPE, LARGE_PIPE]
            .into_iter()
            .find_map(|size| rustix::pipe::fcntl_setpipe_size(&theirs, size).ok().map(|_| size));
        let size = size.expect("devstack's pipe size is allowed");
        theirs.write_all(&vec![b'x'; size]).expect("room in the pipe");
        assert_eq!(drained(&mut outlet, |_| {}), size);
    }

    #[tokio::test]
    async fn a_stranger_that_writes_without_end_is_not_read_without_end() {
        let (mut outlet, mut theirs) = pipe();
        theirs.write_all(&[b'x'; 1000]).expect("room in the pipe");
        // Each read is followed by a write of the same size.
        let taken = drained(&mut outlet, |bytes| {
            theirs.write_all(&vec![b'y'; bytes.len()]).expect("room in the pipe");
        });
        assert_eq!(taken, 1000);
    }
}
