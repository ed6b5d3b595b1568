use std::io::{self, IsTerminal, Write, stderr, stdin};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};

use crate::cli::render::{clean_stderr, warn};
use crate::sys::signal::{CtrlCHandler, in_foreground};

/// A terminal at which the user can be asked.
pub(crate) struct TtyPrompt(());

/// How the user responds to a prompt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PromptReply {
    /// A line, trimmed and in lower case.
    Line(String),
    Interrupt,
    /// End of input; the terminal may be gone.
    End,
}

/// Maximum length of an answer in bytes: a terminal returns at most 4,095 bytes of a line.
const LONGEST: usize = 4_096;

impl TtyPrompt {
    /// Returns `None` without a terminal, or if another job has it.
    pub fn here() -> Option<TtyPrompt> {
        let terminal = stdin().is_terminal() && stderr().is_terminal();
        // Reading in the background would stop the process.
        (terminal && in_foreground(stdin())).then_some(TtyPrompt(()))
    }

    pub fn print(&mut self, text: &str) {
        // If this cannot be written, the next prompt fails as well.
        warn(&format!("{text}\n"));
    }

    pub fn ask(&mut self, question: &str) -> PromptReply {
        let reply = read_answer(question).unwrap_or(PromptReply::End);
        match reply {
            PromptReply::Line(_) => {}
            // The cursor is still on the line of the prompt.
            PromptReply::Interrupt | PromptReply::End => self.print(""),
        }
        reply
    }
}

fn read_answer(question: &str) -> io::Result<PromptReply> {
    let (interrupted, writer) = io::pipe()?;
    // Before the question, so that Ctrl-C counts as an answer from the start.
    let _guard = CtrlCHandler::install(writer.into())?;
    // Discard what was typed before the question.
    let _ = rustix::termios::tcflush(stdin(), rustix::termios::QueueSelector::IFlush);
    write!(clean_stderr(), "{question} ").and_then(|()| stderr().flush())?;
    read_line(&interrupted.into())
}

fn read_line(interrupted: &OwnedFd) -> io::Result<PromptReply> {
    let mut line = Vec::new();
    loop {
        let terminal = stdin();
        let mut ready =
            [PollFd::new(&terminal, PollFlags::IN), PollFd::new(interrupted, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if !ready[1].revents().is_empty() {
            return Ok(PromptReply::Interrupt);
        }
        // Not through std's buffer, which could swallow input for the next reader.
        let mut buffer = [0; LONGEST];
        let count = rustix::io::read(&terminal, &mut buffer)?;
        line.extend_from_slice(&buffer[..count]);
        if count == 0 && line.is_empty() {
            return Ok(PromptReply::End);
        }
        if count == 0 || line.ends_with(b"\n") || line.len() >= LONGEST {
            let line = String::from_utf8_lossy(&line).trim().to_lowercase();
            return Ok(PromptReply::Line(line));
        }
    }
}
