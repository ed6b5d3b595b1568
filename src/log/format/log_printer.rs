use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::line_formatter::LineFormatter;
use super::log_output::LogOutput;
use super::log_style::LogStyle;
use super::print_backlog::PrintBacklog;
use super::repeated_output::RepeatedOutput;
use crate::log::log_size::LogSize;
use crate::log::log_source::LogSource;
use crate::log::log_warnings::LogWarnings;
use crate::log::read::{LineJoiner, LogCursor, ReadFrom};
use crate::log::shared::{PrintItem, PrintMode, SharedLog};
use crate::log::store::LogChunk;
use crate::model::{Message, MessageClass};

/// Prints the log on its own thread, the only one that waits for the terminal.
struct LogPrinter {
    inner: Arc<SharedLog>,
    output: LogOutput,
    painter: LineFormatter,
    /// `None`: every line is wanted.
    repeated: Option<RepeatedOutput>,
    joiner: LineJoiner,
    /// Formatted bytes that are not written yet.
    out: Vec<u8>,
    /// What was printed of each source, or reported as missed. The rest of its total was missed.
    passed: BTreeMap<LogSource, LogSize>,
    /// What is left of the lines that were held back while the terminal showed something else.
    backlog: Option<PrintBacklog>,
    /// How long to wait for the disk; zero while it does not respond.
    disk_patience: Duration,
}

/// Lines are shown once they are in the file, so that a line that was seen survives the end of
/// devstack. But a disk that does not respond within this time does not stop the terminal.
const DISK_PATIENCE: Duration = Duration::from_millis(100);
/// Bytes to format before a write.
const WRITE_SIZE: usize = 256 * 1024;

pub(crate) fn start(inner: Arc<SharedLog>, style: LogStyle, output: LogOutput) -> io::Result<()> {
    let notes = inner.notes.clone();
    let printer = LogPrinter {
        inner,
        output,
        painter: LineFormatter::new(style, Arc::default()),
        repeated: (style.prefix && !style.json).then(RepeatedOutput::default),
        joiner: LineJoiner::default(),
        out: Vec::with_capacity(2 * WRITE_SIZE),
        passed: BTreeMap::new(),
        backlog: None,
        disk_patience: DISK_PATIENCE,
    };
    let run = move || {
        if catch_unwind(AssertUnwindSafe(|| printer.run())).is_err() {
            report_panic(&notes);
        }
    };
    std::thread::Builder::new().name("log".to_owned()).spawn(run)?;
    Ok(())
}

/// Reports that nothing is printed any more, where the user looks and to other clients.
fn report_panic(notes: &LogWarnings) {
    let text = "internal error: the log is no longer shown, but the stack keeps running";
    let help = "follow it with `devstack logs -f`, and please report this";
    // Nothing is left to try if stderr is gone as well.
    let _ = writeln!(io::stderr(), "error: {text}\nhelp: {help}");
    notes.tell(Message::new(MessageClass::Internal, text).help(help));
}

impl LogPrinter {
    fn run(mut self) {
        // Keeps `finish` from waiting for this thread, even after a panic.
        let _close = CloseOnDrop(self.inner.clone());
        if let Err(error) = self.print_all() {
            tracing::debug!("log output stopped: {error}");
            self.inner.output_is_gone(&error);
        }
    }

    fn print_all(&mut self) -> io::Result<()> {
        loop {
            let deadline = self.repeated.as_ref().and_then(RepeatedOutput::deadline);
            let Some(items) = self.inner.queue.next(deadline) else { break };
            if let Some(before) = self.inner.queue.state().released.take() {
                self.backlog = Some(PrintBacklog::until(before));
            }
            let table = self.inner.queue.state().table.clone();
            self.painter.set_palette(table);
            self.painter.set_columns(self.output.columns());
            if items.is_empty() {
                self.catch_up()?;
            }
            self.show(items)?;
            if matches!(self.inner.queue.state().mode, PrintMode::Live) {
                self.end_backlog()?;
            }
        }
        self.end_backlog()?;
        self.show_held_back(RepeatedOutput::clear)?;
        let mut rest = Vec::new();
        self.joiner.finish(&mut rest);
        rest.iter().for_each(|chunk| self.painter.chunk(chunk, &mut self.out));
        self.painter.end(&mut self.out);
        self.write()?;
        self.output.flush()
    }

    fn show(&mut self, items: VecDeque<PrintItem>) -> io::Result<()> {
        for item in items {
            match item {
                PrintItem::Chunk(chunk) => self.add(chunk)?,
                PrintItem::Judged { service, crashed } => {
                    let mut said = None;
                    self.show_held_back(|repeated, shown| {
                        said = repeated.judge(&service, crashed, shown);
                    })?;
                    said.iter().for_each(|line| self.painter.status_line(line, &mut self.out));
                    self.inner.queue.printed(0);
                }
            }
        }
        self.show_held_back(|repeated, shown| repeated.expire(Instant::now(), shown))?;
        self.write()?;
        self.output.flush()
    }

    fn add(&mut self, chunk: LogChunk) -> io::Result<()> {
        if !chunk.is_unfinished() {
            let log = self.inner.log_of(&chunk.source);
            let is_written = log.wait_written(chunk.batch.seq, self.disk_patience);
            self.disk_patience = if is_written { DISK_PATIENCE } else { Duration::ZERO };
            self.count_printed(&chunk.source, chunk.amount());
        }
        let bytes = chunk.bytes.len();
        match (self.shorten(chunk)?, &mut self.repeated) {
            (None, _) => {}
            (Some(chunk), None) => self.paint(chunk)?,
            (Some(chunk), Some(_)) => self.show_held_back(|repeated, shown| {
                repeated.add(chunk, Instant::now(), shown);
            })?,
        }
        // The queue counts the chunk until here, which bounds memory whatever the output does.
        self.inner.queue.printed(bytes);
        Ok(())
    }

    /// Prints what `act` no longer holds back.
    fn show_held_back(
        &mut self,
        act: impl FnOnce(&mut RepeatedOutput, &mut Vec<LogChunk>),
    ) -> io::Result<()> {
        let mut shown = Vec::new();
        if let Some(repeated) = &mut self.repeated {
            act(repeated, &mut shown);
        }
        shown.into_iter().try_for_each(|chunk| self.paint(chunk))
    }

    /// Cuts off what exceeds the lines that are printed of a backlog.
    fn shorten(&mut self, chunk: LogChunk) -> io::Result<Option<LogChunk>> {
        if self.backlog.as_ref().is_some_and(|backlog| backlog.is_over(&chunk)) {
            self.end_backlog()?;
        }
        Ok(match &mut self.backlog {
            Some(backlog) => backlog.shorten(chunk),
            None => Some(chunk),
        })
    }

    /// Says how many lines of a backlog were not printed.
    fn end_backlog(&mut self) -> io::Result<()> {
        let Some(more) = self.backlog.take().and_then(|backlog| backlog.message()) else {
            return Ok(());
        };
        self.show_held_back(RepeatedOutput::clear)?;
        self.painter.status_line(&more, &mut self.out);
        self.write()
    }

    /// Formats what is complete of a chunk, and writes when there is enough.
    fn paint(&mut self, chunk: LogChunk) -> io::Result<()> {
        let mut whole = Vec::new();
        self.joiner.push(chunk, &mut whole);
        for chunk in whole {
            self.painter.chunk(&chunk, &mut self.out);
            if self.out.len() >= WRITE_SIZE {
                self.write()?;
            }
        }
        Ok(())
    }

    fn count_printed(&mut self, source: &LogSource, shown: LogSize) {
        match self.passed.get_mut(source) {
            Some(passed) => *passed += shown,
            None => drop(self.passed.insert(source.clone(), shown)),
        }
    }

    /// Prints what was stored while the queue was full, until nothing is left.
    fn catch_up(&mut self) -> io::Result<()> {
        let PrintMode::Behind { since } = self.inner.queue.state().mode else { return Ok(()) };
        // How runs turned out while it was behind is not known.
        self.show_held_back(RepeatedOutput::clear)?;
        let (mut cursor, all) = (LogCursor::default(), Arc::default());
        loop {
            let before = self.inner.queue.state().next_seq;
            if self.backlog.as_ref().is_some_and(PrintBacklog::is_full) {
                // As if printed: the rest stands in the files.
                let totals = self.totals();
                if self.caught_up(before) {
                    self.passed.extend(totals);
                    self.backlog.iter_mut().for_each(|backlog| backlog.skip_to(before));
                    return Ok(());
                }
                continue;
            }
            for service_log in self.inner.service_logs() {
                cursor.add(&service_log, ReadFrom::Seq(since), &all);
            }
            let step = cursor.step(before, WRITE_SIZE);
            for chunk in &step.chunks {
                self.count_printed(&chunk.source, chunk.amount());
                if let Some(chunk) = self.shorten(chunk.clone())? {
                    self.paint(chunk)?;
                }
            }
            self.write()?;
            if step.chunks.is_empty() {
                // Read before checking for more lines: without any, they are about the same lines.
                let totals = self.totals();
                if self.caught_up(before) {
                    self.report_missed(totals);
                    for log in self.inner.service_logs() {
                        for start in log.unfinished() {
                            self.painter.chunk(&start, &mut self.out);
                        }
                    }
                    self.write()?;
                    return self.output.flush();
                }
            }
        }
    }

    fn totals(&self) -> Vec<(LogSource, LogSize)> {
        let logs = self.inner.service_logs();
        logs.into_iter()
            .map(|service_log| (service_log.source.clone(), service_log.total()))
            .collect()
    }

    fn report_missed(&mut self, totals: Vec<(LogSource, LogSize)>) {
        for (source, total) in totals {
            let passed = self.passed.get(&source).copied().unwrap_or_default();
            let missed = total.since(passed);
            if !missed.is_zero() {
                self.count_printed(&source, missed);
                self.painter.missed(source.service(), missed, &mut self.out);
            }
        }
    }

    /// Returns to the queue unless there are lines from number `before` on.
    fn caught_up(&mut self, before: u64) -> bool {
        let mut state = self.inner.queue.state();
        if state.next_seq != before {
            return false;
        }
        if matches!(state.mode, PrintMode::Behind { .. }) {
            state.mode = PrintMode::Live;
        }
        true
    }

    /// Writes what is formatted, however long it takes.
    fn write(&mut self) -> io::Result<()> {
        let mut start = 0;
        while start < self.out.len() {
            start += self.output.write(&self.out[start..])?;
            self.inner.queue.progressed();
        }
        self.out.clear();
        if self.out.capacity() > 8 * WRITE_SIZE {
            // A long line needed more.
            self.out.shrink_to(2 * WRITE_SIZE);
        }
        Ok(())
    }
}

/// Closes the queue when the printer ends, even by a panic.
struct CloseOnDrop(Arc<SharedLog>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}
