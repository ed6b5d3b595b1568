use std::io::{self, IsTerminal, Write, stderr, stdin};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::event::{PollFd, PollFlags, poll};

use crate::process;

/// The user at a terminal, who can be asked.
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

/// File descriptor that the Ctrl-C handler writes to; negative: none.
static CTRL_C: AtomicI32 = AtomicI32::new(-1);

impl TtyPrompt {
    /// Returns `None` without a terminal, or if another job has it.
    pub fn here() -> Option<TtyPrompt> {
        let terminal = stdin().is_terminal() && stderr().is_terminal();
        // Reading in the background would stop the process. Both are 0 if neither can be seen.
        // SAFETY: no memory is involved.
        let foreground = || unsafe { libc::tcgetpgrp(libc::STDIN_FILENO) } == process::own_group();
        (terminal && foreground()).then_some(TtyPrompt(()))
    }

    pub fn print(&mut self, text: &str) {
        // If this cannot be written, the next prompt fails as well.
        let _ = writeln!(stderr(), "{text}");
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
    let _guard = CtrlCHandler::caught(writer.into())?;
    // Discard what was typed before the question.
    let _ = rustix::termios::tcflush(stdin(), rustix::termios::QueueSelector::IFlush);
    write!(stderr(), "{question} ").and_then(|()| stderr().flush())?;
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

/// Redirects Ctrl-C to a pipe while it lives.
struct CtrlCHandler {
    before: libc::sigaction,
    _writer: OwnedFd,
}

impl CtrlCHandler {
    fn caught(writer: OwnedFd) -> io::Result<CtrlCHandler> {
        CTRL_C.store(writer.as_raw_fd(), Ordering::SeqCst);
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: zeroes are a valid action; the handler only does what is async-signal-safe; the
        // previous action is written to `before`, which is large enough for it.
        let before = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
            if libc::sigaction(libc::SIGINT, &raw const action, before.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            before.assume_init()
        };
        Ok(CtrlCHandler { before, _writer: writer })
    }
}

impl Drop for CtrlCHandler {
    fn drop(&mut self) {
        // SAFETY: the action is the one that the system returned before.
        unsafe { libc::sigaction(libc::SIGINT, &raw const self.before, std::ptr::null_mut()) };
        CTRL_C.store(-1, Ordering::SeqCst);
    }
}

extern "C" fn note(_signal: libc::c_int) {
    // SAFETY: `write` is async-signal-safe; the descriptor is open as long as the handler is set.
    // The pipe cannot fill up from a user pressing Ctrl-C.
    unsafe { libc::write(CTRL_C.load(Ordering::SeqCst), b"!".as_ptr().cast(), 1) };
}
