use std::sync::Arc;

use super::console::Console;
use super::line_ends::LineEnds;
use crate::model::{Message, OutputStream, ProcessExit, RunId};
use crate::runtime::log::LogCapture;
use crate::runtime::process::{OutputSink, Pty};

/// Sends the output of a run to the log and, if it has a pty, to the attached clients.
pub(in crate::runtime) struct RunOutput {
    capture: LogCapture,
    run: RunId,
    console: Arc<Console>,
    /// The reason clients get when the service has no terminal any more.
    without: Message,
    /// `None`: no pty.
    ends: Option<LineEnds>,
}

impl RunOutput {
    pub fn new(
        capture: LogCapture,
        run: RunId,
        console: Arc<Console>,
        without: Message,
    ) -> RunOutput {
        RunOutput { capture, run, console, without, ends: None }
    }
}

impl OutputSink for RunOutput {
    fn starting(&mut self, terminal: Option<&Arc<Pty>>) {
        match terminal {
            Some(terminal) => {
                self.ends = Some(LineEnds::default());
                self.console.begin(self.run, terminal.clone());
            }
            None => self.console.close(&self.without),
        }
    }

    fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        match &mut self.ends {
            Some(ends) => {
                self.console.push(bytes);
                self.capture.push(stream, ends.undo(bytes));
            }
            None => self.capture.push(stream, bytes),
        }
    }

    fn closed(&mut self, exit: Option<ProcessExit>) {
        if let Some(ends) = &mut self.ends {
            self.capture.push(OutputStream::Stdout, ends.rest());
        }
        self.capture.close();
        self.console.end(self.run, exit);
    }
}
