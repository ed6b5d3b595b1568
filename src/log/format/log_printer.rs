use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use super::line_formatter::{ChunkView, LineFormatter};
use super::log_output::LogOutput;
use super::log_style::LogStyle;
use super::print_queue::{PrintMode, QueuedChunk};
use crate::log::line_split;
use crate::log::log_origin::LogOrigin;
use crate::log::log_size::LogSize;
use crate::log::read::{LogChunk, LogCursor, ReadFrom};
use crate::log::stack_log::StackLogInner;
use crate::log::status_line::StatusLine;
use crate::log::store::ServiceLog;

/// Prints the log on its own thread, the only one that waits for the terminal.
struct LogPrinter {
    inner: Arc<StackLogInner>,
    output: LogOutput,
    painter: LineFormatter,
    /// Formatted bytes that are not written yet.
    out: Vec<u8>,
    /// Logs with printed lines whose index may not be flushed yet.
    touched: Vec<Arc<ServiceLog>>,
    /// What was printed of each origin, or reported as missed. The rest of its total was missed.
    passed: BTreeMap<LogOrigin, LogSize>,
}

/// Bytes to format before a write.
const WRITE_SIZE: usize = 256 * 1024;

pub(crate) fn start(
    inner: Arc<StackLogInner>,
    look: LogStyle,
    output: LogOutput,
) -> io::Result<()> {
    let painter = LineFormatter::new(look, Arc::default());
    let (touched, passed) = (Vec::new(), BTreeMap::new());
    let out = Vec::with_capacity(2 * WRITE_SIZE);
    let printer = LogPrinter { inner, output, painter, out, touched, passed };
    std::thread::Builder::new().name("log".to_owned()).spawn(move || printer.run())?;
    Ok(())
}

impl LogPrinter {
    fn run(mut self) {
        // Keeps `finish` from waiting for this thread, even after a panic.
        let _close = CloseOnDrop(self.inner.clone());
        while let Some(slabs) = self.inner.queue.next() {
            let table = self.inner.queue.state().table.clone();
            self.painter.set_palette(table);
            let done = if slabs.is_empty() { self.catch_up() } else { self.show(slabs) };
            if let Err(error) = done {
                tracing::debug!("log output stopped: {error}");
                self.inner.output_is_gone(&error);
                return;
            }
            for lane in self.touched.drain(..) {
                lane.flush(&self.inner.notes);
            }
        }
    }

    fn show(&mut self, slabs: VecDeque<QueuedChunk>) -> io::Result<()> {
        for slab in slabs {
            self.mark_unflushed(&slab.lane);
            self.count_printed(&slab.lane.voice, slab.amount());
            self.paint(&of_slab(&slab));
            if self.out.len() >= WRITE_SIZE {
                self.write()?;
            }
            // The queue counts the chunk until here, which bounds memory whatever the output does.
            self.inner.queue.recycle(slab);
        }
        self.write()?;
        self.output.flush()
    }

    fn paint(&mut self, print: &PrintItem<'_>) {
        match print {
            PrintItem::Lines(lines) => self.painter.lines(lines, &mut self.out),
            PrintItem::Said { seq, bytes } => {
                for (seq, line) in (*seq..).zip(line_split::lines(bytes)) {
                    // Only a modified file has other lines.
                    if let Some(spoken) = StatusLine::decode(line, seq) {
                        self.painter.status_line(&spoken, &mut self.out);
                    }
                }
            }
        }
    }

    fn mark_unflushed(&mut self, lane: &Arc<ServiceLog>) {
        if !self.touched.iter().any(|known| Arc::ptr_eq(known, lane)) {
            self.touched.push(lane.clone());
        }
    }

    fn count_printed(&mut self, voice: &LogOrigin, shown: LogSize) {
        match self.passed.get_mut(voice) {
            Some(passed) => *passed += shown,
            None => drop(self.passed.insert(voice.clone(), shown)),
        }
    }

    /// Prints what was stored while the queue was full, until nothing is left.
    fn catch_up(&mut self) -> io::Result<()> {
        let PrintMode::Behind { since } = self.inner.queue.state().mode else { return Ok(()) };
        let mut cursor = LogCursor::default();
        loop {
            let before = self.inner.queue.state().next_seq;
            for lane in self.inner.all_lanes() {
                cursor.add(&lane, ReadFrom::Seq(since));
            }
            let step = cursor.step(before, WRITE_SIZE);
            for chunk in &step.chunks {
                self.count_printed(&chunk.voice, chunk.amount());
                self.paint(&of_chunk(chunk));
                if self.out.len() >= WRITE_SIZE {
                    self.write()?;
                }
            }
            self.write()?;
            if step.chunks.is_empty() {
                // Read before checking for more lines: without any, they are about the same lines.
                let totals = self.totals();
                if self.caught_up(before) {
                    self.report_missed(totals);
                    self.write()?;
                    self.touched = self.inner.all_lanes();
                    return self.output.flush();
                }
            }
        }
    }

    fn totals(&self) -> Vec<(LogOrigin, LogSize)> {
        let lanes = self.inner.all_lanes();
        lanes.into_iter().map(|lane| (lane.voice.clone(), lane.total())).collect()
    }

    fn report_missed(&mut self, totals: Vec<(LogOrigin, LogSize)>) {
        for (voice, total) in totals {
            let passed = self.passed.get(&voice).copied().unwrap_or_default();
            let missed = total.since(passed);
            if !missed.is_zero() {
                self.count_printed(&voice, missed);
                self.painter.missed(voice.service(), missed, &mut self.out);
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
        Ok(())
    }
}

enum PrintItem<'a> {
    Lines(ChunkView<'a>),
    /// Stored status lines, with the number of the first.
    Said {
        seq: u64,
        bytes: &'a [u8],
    },
}

fn of_slab(slab: &QueuedChunk) -> PrintItem<'_> {
    match slab.lane.voice.service() {
        None => PrintItem::Said { seq: slab.seq, bytes: &slab.bytes },
        Some(service) => PrintItem::Lines(ChunkView {
            service,
            run: slab.run,
            stream: slab.stream,
            seq: slab.seq,
            at: slab.at,
            continues: slab.continues,
            open: slab.open,
            bytes: &slab.bytes,
        }),
    }
}

fn of_chunk(chunk: &LogChunk) -> PrintItem<'_> {
    match chunk.voice.service() {
        None => PrintItem::Said { seq: chunk.batch.seq, bytes: &chunk.bytes },
        Some(service) => PrintItem::Lines(ChunkView {
            service,
            run: chunk.batch.run,
            stream: chunk.batch.stream,
            seq: chunk.batch.seq,
            at: chunk.batch.at,
            continues: chunk.batch.continues,
            open: chunk.batch.open,
            bytes: &chunk.bytes,
        }),
    }
}

/// Closes the queue when the printer ends, even by a panic.
struct CloseOnDrop(Arc<StackLogInner>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.queue.close();
        for lane in self.0.all_lanes() {
            lane.flush(&self.0.notes);
        }
    }
}
