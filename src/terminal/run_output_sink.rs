use std::sync::Arc;

use tokio::time::Instant;

use super::crlf_stripper::CrlfStripper;
use super::service_terminal::ServiceTerminal;
use crate::log::LogCapture;
use crate::model::{Message, OutputStream, ProcessExit, RunId};
use crate::process::{BoxFuture, OutputSink, Pty};

/// Sends the output of a run to the log and, if it has a pty, to the attached clients.
pub(crate) struct RunOutputSink {
    capture: LogCapture,
    run: RunId,
    console: Arc<ServiceTerminal>,
    /// The reason clients get when the service has no terminal any more.
    without: Message,
    /// `None`: no pty.
    ends: Option<CrlfStripper>,
}

impl RunOutputSink {
    pub fn new(
        capture: LogCapture,
        run: RunId,
        console: Arc<ServiceTerminal>,
        without: Message,
    ) -> RunOutputSink {
        RunOutputSink { capture, run, console, without, ends: None }
    }
}

impl OutputSink for RunOutputSink {
    fn starting(&mut self, terminal: Option<&Arc<Pty>>) {
        match terminal {
            Some(terminal) => {
                self.ends = Some(CrlfStripper::default());
                self.console.begin(self.run, terminal.clone());
            }
            None => self.console.close(&self.without),
        }
    }

    fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        match &mut self.ends {
            Some(ends) => {
                self.console.push(bytes);
                self.capture.push(stream, ends.strip(bytes));
            }
            None => self.capture.push(stream, bytes),
        }
    }

    fn full(&self) -> Option<BoxFuture> {
        self.capture.full()
    }

    fn quiet_at(&self) -> Option<Instant> {
        self.capture.quiet_at()
    }

    fn quiet(&mut self, now: Instant) {
        self.capture.quiet(now);
    }

    fn closed(&mut self, exit: Option<ProcessExit>) {
        if let Some(ends) = &mut self.ends {
            self.capture.push(OutputStream::Stdout, ends.rest());
        }
        self.capture.close();
        self.console.end(self.run, exit);
    }
}
