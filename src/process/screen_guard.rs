use std::io::{self, PipeReader, PipeWriter, Read, Write, stdin, stdout};
use std::os::fd::AsRawFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use crate::sys::fork::{ForkResult, exit_now, fork};
use crate::sys::wait::{poll_within, wait_and_reap};
use crate::sys::{process, signal};

/// A process that gives the terminal back if this one is killed while it shows a screen of its own.
/// It ends with this process.
#[derive(Debug)]
pub(crate) struct ScreenGuard(PipeWriter);

/// How long a paused terminal may keep it.
const PATIENCE: Duration = Duration::from_secs(1);

const TAKEN: u8 = b'1';
const GIVEN_BACK: u8 = b'0';

impl ScreenGuard {
    /// Must be called before there are threads or a guard of processes. `leave` is what ends the
    /// screen.
    ///
    /// # Errors
    /// There is no terminal, this process has threads, or the system cannot create a process.
    pub fn new(leave: &'static [u8]) -> io::Result<ScreenGuard> {
        let before = tcgetattr(stdin())?;
        let owner = signal::own_group();
        let (read, write) = io::pipe()?;
        match fork()? {
            ForkResult::Child => {
                // An orphan is nothing that this process waits for.
                if let Ok(ForkResult::Child) = fork() {
                    watch(read, owner, &before, leave);
                }
                exit_now(0)
            }
            ForkResult::Parent(child) => {
                drop(read);
                wait_and_reap(child);
                Ok(ScreenGuard(write))
            }
        }
    }

    /// Says that the terminal shows the screen from now on, or no longer.
    pub fn screen_is(&self, taken: bool) {
        // Fails only when it was killed.
        let _ = (&self.0).write_all(&[if taken { TAKEN } else { GIVEN_BACK }]);
    }
}

fn watch(mut read: PipeReader, owner: i32, before: &Termios, leave: &[u8]) {
    // Neither Ctrl-C nor `kill %1` means it.
    let _ = rustix::process::setpgid(None, None);
    signal::ignore_background_output();
    process::close_fds_except(read.as_raw_fd());
    process::set_process_name(c"ds-screen");
    let (mut last, mut said) = (GIVEN_BACK, [0; 64]);
    loop {
        match read.read(&mut said) {
            Ok(0) => break,
            Ok(count) => last = said[count - 1],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
    if last == TAKEN && is_unused(owner) {
        restore(before, leave);
    }
}

/// Whether the terminal still belongs to the killed process, or is the shell's again: no other
/// program has begun to use it.
fn is_unused(owner: i32) -> bool {
    let front = tcgetpgrp(stdout()).map(|group| group.as_raw_pid());
    front.is_ok_and(|front| front == owner || front == signal::session_of(0))
}

fn restore(before: &Termios, leave: &[u8]) {
    let mut raw = before.clone();
    raw.make_raw();
    // A shell that has set the terminal up for its prompt is left alone.
    let modes = |one: &Termios| (one.input_modes, one.output_modes, one.local_modes);
    if tcgetattr(stdin()).is_ok_and(|now| modes(&now) == modes(&raw)) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, before);
    }
    if poll_within(&mut [PollFd::new(&stdout(), PollFlags::OUT)], Some(PATIENCE)) {
        let _ = stdout().write_all(leave).and_then(|()| stdout().flush());
    }
}
