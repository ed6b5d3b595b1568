use std::io::{self, IsTerminal, Write, stderr, stdin};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::event::{PollFd, PollFlags, poll};

use crate::runtime::process;

/// Somebody at the terminal who can be asked.
pub(super) struct Person(());

/// What somebody does about a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Writes a line: without blanks around it, in lower case.
    Line(String),
    /// Presses Ctrl-C.
    Interrupt,
    /// Ends the input, or is gone.
    End,
}

/// The longest answer that is read: a terminal gives at most 4,095 bytes of a line.
const LONGEST: usize = 4_096;

/// Where the handler of Ctrl-C writes; below 0: nowhere.
static CTRL_C: AtomicI32 = AtomicI32::new(-1);

impl Person {
    /// Whoever sits at the terminal of this process; `None`: nobody does, or the terminal belongs to another job.
    pub fn here() -> Option<Person> {
        let terminal = stdin().is_terminal() && stderr().is_terminal();
        // Reading in the background would stop the process. Both numbers are 0 where neither group can be seen.
        // SAFETY: no memory is involved.
        let foreground = || unsafe { libc::tcgetpgrp(libc::STDIN_FILENO) } == process::own_group();
        (terminal && foreground()).then_some(Person(()))
    }

    /// Tells something.
    pub fn tell(&mut self, text: &str) {
        // When not even this can be written, the answer to the next question will say so.
        let _ = writeln!(stderr(), "{text}");
    }

    /// Asks.
    pub fn ask(&mut self, question: &str) -> Reply {
        let reply = converse(question).unwrap_or(Reply::End);
        match reply {
            Reply::Line(_) => {}
            // What comes next begins a line.
            Reply::Interrupt | Reply::End => self.tell(""),
        }
        reply
    }
}

fn converse(question: &str) -> io::Result<Reply> {
    let (interrupted, writer) = io::pipe()?;
    // Before the question: from then on Ctrl-C is an answer.
    let _guard = CtrlC::caught(writer.into())?;
    // What was typed before the question is none.
    let _ = rustix::termios::tcflush(stdin(), rustix::termios::QueueSelector::IFlush);
    write!(stderr(), "{question} ").and_then(|()| stderr().flush())?;
    read_line(&interrupted.into())
}

/// A line from the terminal, or something from the pipe.
fn read_line(interrupted: &OwnedFd) -> io::Result<Reply> {
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
            return Ok(Reply::Interrupt);
        }
        // Not through std's buffer, which could keep what belongs to whoever reads next.
        let mut buffer = [0; LONGEST];
        let count = rustix::io::read(&terminal, &mut buffer)?;
        line.extend_from_slice(&buffer[..count]);
        if count == 0 && line.is_empty() {
            return Ok(Reply::End);
        }
        if count == 0 || line.ends_with(b"\n") || line.len() >= LONGEST {
            let line = String::from_utf8_lossy(&line).trim().to_lowercase();
            return Ok(Reply::Line(line));
        }
    }
}

/// While it lives, Ctrl-C is written to a pipe and does nothing else.
struct CtrlC {
    before: libc::sigaction,
    _writer: OwnedFd,
}

impl CtrlC {
    fn caught(writer: OwnedFd) -> io::Result<CtrlC> {
        CTRL_C.store(writer.as_raw_fd(), Ordering::SeqCst);
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: zeroes are a valid action; the handler does only what a handler may; what was before is written into
        // `before`, which is large enough for it.
        let before = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as extern "C" fn(libc::c_int) as libc::sighandler_t;
            if libc::sigaction(libc::SIGINT, &raw const action, before.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            before.assume_init()
        };
        Ok(CtrlC { before, _writer: writer })
    }
}

impl Drop for CtrlC {
    fn drop(&mut self) {
        // SAFETY: the action is what the system said it was before.
        unsafe { libc::sigaction(libc::SIGINT, &raw const self.before, std::ptr::null_mut()) };
        CTRL_C.store(-1, Ordering::SeqCst);
    }
}

extern "C" fn note(_signal: libc::c_int) {
    // SAFETY: `write` is allowed in a handler; the descriptor is open as long as the handler is set. The pipe is not full:
    // a person does not press Ctrl-C as often.
    unsafe { libc::write(CTRL_C.load(Ordering::SeqCst), b"!".as_ptr().cast(), 1) };
}
