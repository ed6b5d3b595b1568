//! The whole path: from captures through files and terminal to readers.

mod clock;
mod damage;
mod disk;
mod file_trouble;
mod flow;
mod hanging_disk;
mod printing;
mod reading;
mod rotation;
mod search;
mod status_lines;

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::{
    EscapeMode, LineFilter, LogOutput, LogStyle, StackLog, StoredLogReader, lock_unpoisoned,
};
use crate::model::{Name, OutputStream, RunId};

/// Far longer than any test needs; ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(60);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn look(escapes: EscapeMode) -> LogStyle {
    LogStyle { color: false, prefix: true, timestamps: false, escapes, json: false }
}

/// An output that records what is written, once its gate is open.
#[derive(Clone, Default)]
struct GatedOutput(Arc<(Mutex<GatedState>, Condvar)>);

#[derive(Default)]
struct GatedState {
    bytes: Vec<u8>,
    shut: bool,
    broken: bool,
    /// The next write panics.
    panics: bool,
    /// A writer waits at the gate.
    waits: bool,
}

impl GatedOutput {
    fn shut() -> GatedOutput {
        let screen = GatedOutput::default();
        lock_unpoisoned(&screen.0.0).shut = true;
        screen
    }

    fn open_gate(&self) {
        lock_unpoisoned(&self.0.0).shut = false;
        self.0.1.notify_all();
    }

    fn break_pipe(&self) {
        lock_unpoisoned(&self.0.0).broken = true;
        self.open_gate();
    }

    /// Waits until the printer is blocked at the gate.
    fn wait_for_printer(&self) {
        let mut shown = lock_unpoisoned(&self.0.0);
        while !shown.waits {
            shown = self.0.1.wait(shown).unwrap();
        }
    }

    fn output(&self) -> LogOutput {
        LogOutput::Other(Box::new(self.clone()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&lock_unpoisoned(&self.0.0).bytes).into_owned()
    }
}

impl Write for GatedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut shown = lock_unpoisoned(&self.0.0);
        while shown.shut {
            shown.waits = true;
            self.0.1.notify_all();
            shown = self.0.1.wait(shown).unwrap();
        }
        assert!(!shown.panics, "a printer that panics");
        if shown.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        shown.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log in its own directory.
struct LogFixture {
    dir: tempfile::TempDir,
    screen: GatedOutput,
    logs: StackLog,
}

impl LogFixture {
    fn new(escapes: EscapeMode) -> LogFixture {
        LogFixture::with(escapes, GatedOutput::default())
    }

    fn with(escapes: EscapeMode, screen: GatedOutput) -> LogFixture {
        let dir = tempfile::tempdir().unwrap();
        let logs = StackLog::open(&dir.path().join("logs"), look(escapes), screen.output());
        LogFixture { dir, screen, logs }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("logs")
    }

    fn file(&self, file: &str) -> Vec<u8> {
        self.wait_stored();
        std::fs::read(self.folder().join(file)).unwrap()
    }

    /// Runs a service that prints `text` to standard output and exits.
    fn run(&self, service: &str, run: u64, text: &str) {
        let (mut capture, _) = self.logs.capture(&name(service), RunId(run), Vec::new());
        capture.push(OutputStream::Stdout, text.as_bytes());
        capture.close();
        self.wait_stored();
    }

    /// Waits until everything is in the files.
    fn wait_stored(&self) {
        wait_stored(&self.logs);
    }

    /// Finishes the log and returns everything that was printed.
    fn finish(&self) -> String {
        assert!(self.logs.finish(PATIENCE));
        self.screen.text()
    }

    fn stored(&self) -> Vec<super::LogLine> {
        self.wait_stored();
        stored(&self.folder(), usize::MAX)
    }
}

/// Waits until everything is in the files.
fn wait_stored(logs: &StackLog) {
    assert!(logs.inner.writer.wait_idle(PATIENCE));
}

/// Returns the last lines of each service from a directory that is no longer written.
fn stored(dir: &std::path::Path, last: usize) -> Vec<super::LogLine> {
    let stored = StoredLogReader::open(dir, None, last, LineFilter::default()).unwrap();
    stored.flat_map(|page| page.records).collect()
}

fn texts(records: &[super::LogLine]) -> Vec<String> {
    let text = |record: &super::LogLine| {
        format!("{} {}", record.service, String::from_utf8_lossy(&record.line))
    };
    records.iter().map(text).collect()
}
