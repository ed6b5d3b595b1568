use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::output_fd::OutputFd;
use super::output_reader::OutputReader;
use crate::model::OutputStream;
use crate::process::keeper::OUTPUT_FDS;
use crate::sys::pty::Pty;

/// Both sides of a run's output.
pub(crate) struct RunChannels {
    pub outlets: [Option<OutputReader>; 2],
    /// The service's side: stdout and stderr.
    pub fds: [OwnedFd; OUTPUT_FDS],
}

impl RunChannels {
    pub fn open(terminal: Option<Arc<Pty>>) -> io::Result<RunChannels> {
        match terminal {
            Some(terminal) => RunChannels::terminal(terminal),
            None => RunChannels::pipes(),
        }
    }

    fn pipes() -> io::Result<RunChannels> {
        let (out, stdout) = io::pipe()?;
        let (err, stderr) = io::pipe()?;
        let out = OutputReader::new(OutputFd::Pipe(out), OutputStream::Stdout)?;
        let err = OutputReader::new(OutputFd::Pipe(err), OutputStream::Stderr)?;
        Ok(RunChannels { outlets: [Some(out), Some(err)], fds: [stdout.into(), stderr.into()] })
    }

    fn terminal(terminal: Arc<Pty>) -> io::Result<RunChannels> {
        let fds = [terminal.user_fd()?, terminal.user_fd()?];
        let outlet = OutputReader::new(OutputFd::Terminal(terminal), OutputStream::Stdout)?;
        Ok(RunChannels { outlets: [Some(outlet), None], fds })
    }
}
