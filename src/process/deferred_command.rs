//! A program that is started later, outside of the process tree that devstack ends.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Stdio;

use super::spawn::exec;
use crate::sys::fork::{ForkResult, detach_stdio, exit_now, fork};
use crate::sys::process;
use crate::sys::wait::wait_and_reap;

/// In bytes.
const MAX_WORD: u64 = 64 * 1024;

/// A command that waits for its last word, and then for that of the next time. Dropping this ends it.
///
/// A browser must outlive the devstack that opened it. On Linux devstack ends the orphans of all it
/// starts, so this becomes an orphan before devstack is a subreaper.
#[derive(Debug)]
pub struct DeferredCommand(PipeWriter);

impl DeferredCommand {
    /// Must be called before there are threads or a guard. `finish` builds the command from the
    /// last word.
    ///
    /// # Errors
    /// When this process has threads, or the system cannot create a pipe or a process.
    pub fn new(finish: impl Fn(OsString) -> Vec<OsString>) -> io::Result<DeferredCommand> {
        let (read, write) = io::pipe()?;
        match fork()? {
            ForkResult::Child => {
                // A session of its own is safe from Ctrl-C and from a closed terminal window.
                let _ = rustix::process::setsid();
                // There is no process to report an error to.
                if let Ok(ForkResult::Child) = fork() {
                    wait_and_exec(read, finish);
                }
                exit_now(0)
            }
            ForkResult::Parent(child) => {
                drop(read);
                wait_and_reap(child);
                Ok(DeferredCommand(write))
            }
        }
    }

    /// Starts the command with this last word, which is one line.
    pub fn start(&mut self, word: &str) {
        // Fails when the command was killed, and then there is nothing to start.
        let _ = self.0.write_all(format!("{word}\n").as_bytes());
    }
}

fn wait_and_exec(read: PipeReader, finish: impl Fn(OsString) -> Vec<OsString>) {
    process::close_fds_except(read.as_raw_fd());
    process::set_process_name(c"ds-open");
    // The output of a browser does not belong in the log.
    let _ = detach_stdio();
    let mut read = BufReader::new(read);
    loop {
        let mut word = Vec::new();
        let count = read.by_ref().take(MAX_WORD).read_until(b'\n', &mut word).unwrap_or(0);
        if word.pop_if(|byte| *byte == b'\n').is_none() || count == 0 {
            return;
        }
        match fork() {
            // A child that it need not reap.
            Ok(ForkResult::Child) => {
                if let Ok(ForkResult::Child) = fork() {
                    let dir = std::env::current_dir().unwrap_or_default();
                    let dir = if dir.is_dir() { dir.as_path() } else { Path::new("/") };
                    let words = finish(OsString::from_vec(word));
                    exec(&words, dir, std::env::vars_os(), Stdio::inherit());
                }
                exit_now(0)
            }
            Ok(ForkResult::Parent(child)) => wait_and_reap(child),
            Err(_) => {}
        }
    }
}
