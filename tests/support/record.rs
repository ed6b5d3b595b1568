use std::fmt::Write;
use std::process::ExitStatus;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{strip_ansi, wait_limit};

/// The output stream; in a terminal always `Stdout`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    Stdout,
    Stderr,
}

/// A position in the output of a program; see `RunningProgram::here`.
#[derive(Clone, Copy, Default)]
pub struct OutputPosition([usize; 2]);

/// Output and exit of a running program, with a condition variable for waiters.
pub struct OutputRecord {
    known: Mutex<RecordedOutput>,
    more: Condvar,
}

pub struct RecordedOutput {
    bytes: [Vec<u8>; 2],
    open: [bool; 2],
    pub exit: Option<ExitStatus>,
}

impl OutputRecord {
    pub fn new(open: [bool; 2]) -> OutputRecord {
        let known = RecordedOutput { bytes: [Vec::new(), Vec::new()], open, exit: None };
        OutputRecord { known: Mutex::new(known), more: Condvar::new() }
    }

    /// A waiter that fails its test poisons the lock, but the data stays intact.
    pub fn known(&self) -> MutexGuard<'_, RecordedOutput> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, source: Source, bytes: &[u8]) {
        self.known().bytes[source as usize].extend(bytes);
        self.more.notify_all();
    }

    pub fn close(&self, source: Source) {
        self.known().open[source as usize] = false;
        self.more.notify_all();
    }

    pub fn exited(&self, known: &mut RecordedOutput, status: ExitStatus) {
        known.exit = Some(status);
        self.more.notify_all();
    }

    /// Waits until `look` finds something; the error is a report of everything known. Ends early
    /// when nothing more can come.
    pub fn wait<T>(&self, mut look: impl FnMut(&RecordedOutput) -> Option<T>) -> Result<T, String> {
        let deadline = Instant::now() + wait_limit();
        let mut known = self.known();
        loop {
            if let Some(found) = look(&known) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || known.over() {
                return Err(known.report());
            }
            known = self.more.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a line printed after `place`, complete or not.
    pub fn wait_line<T>(
        &self,
        place: OutputPosition,
        mut look: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, String> {
        let mut next = place.0;
        self.wait(|known| {
            (0..2).find_map(|source| {
                let (found, seen) = scan(&known.bytes[source][next[source]..], &mut look);
                next[source] += seen;
                found
            })
        })
    }
}

/// Passes each line to `look`; returns how many bytes need not be scanned again (all complete
/// lines).
fn scan<T>(bytes: &[u8], look: &mut impl FnMut(&str) -> Option<T>) -> (Option<T>, usize) {
    let mut seen = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (text, whole) = line.strip_suffix(b"\n").map_or((line, false), |text| (text, true));
        if let Some(found) = look(&strip_ansi(text)) {
            return (Some(found), seen);
        }
        seen += if whole { line.len() } else { 0 };
    }
    (None, seen)
}

impl RecordedOutput {
    fn over(&self) -> bool {
        self.exit.is_some() && self.closed()
    }

    /// Returns whether both streams are closed.
    pub fn closed(&self) -> bool {
        self.open == [false, false]
    }

    /// Returns whether the stream is open and still read.
    pub fn is_open(&self, source: Source) -> bool {
        self.open[source as usize]
    }

    pub fn here(&self) -> OutputPosition {
        OutputPosition([self.bytes[0].len(), self.bytes[1].len()])
    }

    pub fn bytes(&self, source: Source) -> &[u8] {
        &self.bytes[source as usize]
    }

    /// Returns the lines after a position, stdout before stderr.
    pub fn lines(&self, place: OutputPosition) -> Vec<String> {
        let mut lines = Vec::new();
        for (bytes, from) in self.bytes.iter().zip(place.0) {
            scan(&bytes[from..], &mut |line| {
                lines.push(line.to_owned());
                None::<()>
            });
        }
        lines
    }

    /// Everything known, for a failure message.
    pub fn report(&self) -> String {
        let mut report = match self.exit {
            Some(status) => format!("it ended: {status}"),
            None => "it is running".to_owned(),
        };
        for (name, bytes) in ["stdout", "stderr"].iter().zip(&self.bytes) {
            let _ = write!(report, "\n--- {name} so far\n{}", String::from_utf8_lossy(bytes));
        }
        report
    }
}
