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
mod unfinished;

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::{
    LineFilter, LogItem, LogItems, LogLine, LogOutput, LogReader, LogSize, LogStyle, MissedLines,
    StackLog, StoredFrom, StoredLogReader, lock_unpoisoned,
};
use crate::model::{Name, OutputStream, RunId};

/// Far longer than any test needs; ends a test that would hang.
const PATIENCE: Duration = Duration::from_secs(60);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
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
    fn new(color: bool) -> LogFixture {
        LogFixture::with(color, GatedOutput::default())
    }

    fn with(color: bool, screen: GatedOutput) -> LogFixture {
        let dir = tempfile::tempdir().unwrap();
        let logs = StackLog::open(&dir.path().join("logs"), LogStyle::new(color), screen.output());
        LogFixture { dir, screen, logs }
    }

    fn dir(&self) -> std::path::PathBuf {
        self.dir.path().join("logs")
    }

    fn file(&self, file: &str) -> Vec<u8> {
        self.wait_stored();
        std::fs::read(self.dir().join(file)).unwrap()
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

    fn stored(&self) -> Vec<LogLine> {
        self.wait_stored();
        stored(&self.dir(), usize::MAX)
    }
}

/// Waits until everything is in the files.
fn wait_stored(logs: &StackLog) {
    assert!(logs.inner.writer.wait_idle(PATIENCE));
}

/// Returns the last lines of each service from a directory that is no longer written.
fn stored(dir: &std::path::Path, last: usize) -> Vec<LogLine> {
    stored_pages(dir, None, last, LineFilter::default()).flat_map(|page| page.records).collect()
}

fn texts(records: &[LogLine]) -> Vec<String> {
    let text =
        |record: &LogLine| format!("{} {}", record.service, String::from_utf8_lossy(&record.line));
    records.iter().map(text).collect()
}

/// What one step of a reader found, by kind.
#[derive(Debug, Default, PartialEq)]
struct LogPage {
    items: Vec<LogItem>,
    records: Vec<LogLine>,
    unfinished: Vec<LogLine>,
    missed: MissedLines,
}

impl LogPage {
    fn of(items: LogItems) -> LogPage {
        let mut page = LogPage { items: items.collect(), ..LogPage::default() };
        for item in &page.items {
            match item.clone() {
                LogItem::Line(line) if line.unfinished => page.unfinished.push(line),
                LogItem::Line(line) => page.records.push(line),
                LogItem::Status(_) => {}
                LogItem::Missed { service, missed: lines, bytes } => {
                    page.missed.add(service.as_ref(), LogSize { lines, bytes });
                }
            }
        }
        page
    }
}

impl LogReader {
    /// Returns the next page, which is never empty; `None` at the end.
    async fn next_page(&mut self) -> Option<LogPage> {
        loop {
            let page = LogPage::of(self.next().await?);
            if !page.items.is_empty() {
                return Some(page);
            }
        }
    }
}

fn stored_pages(
    dir: &std::path::Path,
    services: Option<&[Name]>,
    last: usize,
    wanted: LineFilter,
) -> impl Iterator<Item = LogPage> + use<> {
    StoredLogReader::open(dir, services, StoredFrom::Last(last), wanted).unwrap().map(LogPage::of)
}
