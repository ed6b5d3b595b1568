use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::output_fd::OutputFd;
use super::output_reader::OutputReader;
use crate::model::OutputStream;
use crate::process::guard::KEEPER_FDS;
use crate::sys::async_fd::register;
use crate::sys::pty::Pty;

/// Both sides of a run's three channels.
pub(crate) struct RunChannels {
    pub socket: AsyncFd<Arc<UnixStream>>,
    pub outlets: [Option<OutputReader>; 2],
    /// The keeper's side: its connection, stdout and stderr.
    pub keeper: [OwnedFd; KEEPER_FDS],
}

impl RunChannels {
    pub fn open(terminal: Option<Arc<Pty>>) -> io::Result<RunChannels> {
        let (ours, theirs) = UnixStream::pair()?;
        let socket = register(Arc::new(ours), Interest::READABLE | Interest::WRITABLE)?;
        let (outlets, [stdout, stderr]) = match terminal {
            Some(terminal) => RunChannels::terminal(terminal)?,
            None => RunChannels::pipes()?,
        };
        Ok(RunChannels { socket, outlets, keeper: [theirs.into(), stdout, stderr] })
    }

    fn pipes() -> io::Result<([Option<OutputReader>; 2], [OwnedFd; 2])> {
        let (out, stdout) = io::pipe()?;
        let (err, stderr) = io::pipe()?;
        let out = OutputReader::new(OutputFd::Pipe(out), OutputStream::Stdout)?;
        let err = OutputReader::new(OutputFd::Pipe(err), OutputStream::Stderr)?;
        Ok(([Some(out), Some(err)], [stdout.into(), stderr.into()]))
    }

    fn terminal(terminal: Arc<Pty>) -> io::Result<([Option<OutputReader>; 2], [OwnedFd; 2])> {
        let ends = [terminal.user_fd()?, terminal.user_fd()?];
        let outlet = OutputReader::new(OutputFd::Terminal(terminal), OutputStream::Stdout)?;
        Ok(([Some(outlet), None], ends))
    }
}
