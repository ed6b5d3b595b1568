//! A program that is started later, outside of everything that this process ends.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Stdio;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::foreground::replace;
use super::platform;

/// The longest word that is waited for, in bytes.
const WORD_MAX: u64 = 64 * 1024;

/// A command that waits for its last word. When this is dropped before, there is none.
///
/// A browser must outlive the devstack that opened it. On Linux orphans of what devstack starts become its children and
/// are ended with it, so this one is an orphan before devstack adopts any.
#[derive(Debug)]
pub struct Later(PipeWriter);

impl Later {
    /// To be called before there are threads, and before the guard is forked. `finish` makes the whole command of the
    /// last word.
    ///
    /// # Errors
    /// What the system says when it gives no pipe or no process.
    pub fn new(finish: impl FnOnce(OsString) -> Vec<OsString>) -> io::Result<Later> {
        let (read, write) = io::pipe()?;
        // SAFETY: the caller promises that there are no other threads, so the child may do anything.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // In a session of its own no Ctrl-C and no closed window reaches it.
                let _ = rustix::process::setsid();
                // SAFETY: as above. Whether it worked, nobody waits to know.
                if unsafe { libc::fork() } == 0 {
                    wait(read, finish);
                }
                // SAFETY: ends this copy of the process without running what belongs to the other.
                unsafe { libc::_exit(0) }
            }
            child => {
                drop(read);
                let child = Pid::from_raw(child).expect("a child has a number above 0");
                while waitpid(Some(child), WaitOptions::empty())
                    .is_err_and(|error| error == Errno::INTR)
                {}
                Ok(Later(write))
            }
        }
    }

    /// Starts the command with this last word.
    pub fn go(mut self, word: &str) {
        // It may have been killed; then there is nobody to start anything.
        let _ = self.0.write_all(word.as_bytes());
    }
}

fn wait(read: PipeReader, finish: impl FnOnce(OsString) -> Vec<OsString>) {
    platform::close_all_but(read.as_raw_fd());
    platform::name_self(c"ds-open");
    // What a browser prints is no part of the log.
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    let mut word = Vec::new();
    if read.take(WORD_MAX).read_to_end(&mut word).is_ok() && !word.is_empty() {
        let dir = std::env::current_dir().unwrap_or_default();
        let dir = if dir.is_dir() { dir.as_path() } else { Path::new("/") };
        replace(&finish(OsString::from_vec(word)), dir, std::env::vars_os(), Stdio::inherit());
    }
}
