use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use super::amount::Amount;
use super::cursor::{Chunk, Cursor, From};
use super::lane::Lane;
use super::lines;
use super::logs::Inner;
use super::look::Look;
use super::output::Output;
use super::painter::{Lines, Painter};
use super::queue::{Mode, Slab};
use super::spoken::Spoken;
use super::voice::Voice;

/// Prints the log on its own thread, the only one that waits for the terminal.
struct Printer {
    inner: Arc<Inner>,
    output: Output,
    painter: Painter,
    /// Formatted bytes that are not written yet.
    out: Vec<u8>,
    /// Logs with printed lines whose index may not be flushed yet.
    touched: Vec<Arc<Lane>>,
    /// What was printed of each origin, or reported as missed. The rest of its total was missed.
    passed: BTreeMap<Voice, Amount>,
}

/// Bytes to format before a write.
const OUT: usize = 256 * 1024;

pub(super) fn start(inner: Arc<Inner>, look: Look, output: Output) -> io::Result<()> {
    let painter = Painter::new(look, Arc::default());
    let (touched, passed) = (Vec::new(), BTreeMap::new());
    let out = Vec::with_capacity(2 * OUT);
    let printer = Printer { inner, output, painter, out, touched, passed };
    std::thread::Builder::new().name("log".to_owned()).spawn(move || printer.run())?;
    Ok(())
}

impl Printer {
    fn run(mut self) {
        // Keeps `finish` from waiting for this thread, even after a panic.
        let _close = CloseOnDrop(self.inner.clone());
        while let Some(slabs) = self.inner.queue.next() {
            let table = self.inner.queue.state().table.clone();
            self.painter.set_table(table);
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

    fn show(&mut self, slabs: VecDeque<Slab>) -> io::Result<()> {
        for slab in slabs {
            self.touch(&slab.lane);
            self.pass(&slab.lane.voice, slab.amount());
            self.paint(&of_slab(&slab));
            if self.out.len() >= OUT {
                self.write()?;
            }
            // The queue counts the chunk until here, which bounds memory whatever the output does.
            self.inner.queue.shown(slab);
        }
        self.write()?;
        self.output.flush()
    }

    fn paint(&mut self, print: &Print<'_>) {
        match print {
            Print::Lines(lines) => self.painter.lines(lines, &mut self.out),
            Print::Said { seq, bytes } => {
                for (seq, line) in (*seq..).zip(lines::lines(bytes)) {
                    // Only a modified file has other lines.
                    if let Some(spoken) = Spoken::read(line, seq) {
                        self.painter.spoken(&spoken, &mut self.out);
                    }
                }
            }
        }
    }

    fn touch(&mut self, lane: &Arc<Lane>) {
        if !self.touched.iter().any(|known| Arc::ptr_eq(known, lane)) {
            self.touched.push(lane.clone());
        }
    }

    fn pass(&mut self, voice: &Voice, shown: Amount) {
        match self.passed.get_mut(voice) {
            Some(passed) => *passed += shown,
            None => drop(self.passed.insert(voice.clone(), shown)),
        }
    }

    /// Prints what was stored while the queue was full, until nothing is left.
    fn catch_up(&mut self) -> io::Result<()> {
        let Mode::Behind { since } = self.inner.queue.state().mode else { return Ok(()) };
        let mut cursor = Cursor::default();
        loop {
            let before = self.inner.queue.state().next_seq;
            for lane in self.inner.all_lanes() {
                cursor.add(&lane, From::Seq(since));
            }
            let step = cursor.step(before, OUT);
            for chunk in &step.chunks {
                self.pass(&chunk.voice, chunk.amount());
                self.paint(&of_chunk(chunk));
                if self.out.len() >= OUT {
                    self.write()?;
                }
            }
            self.write()?;
            if step.chunks.is_empty() {
                // Read before checking for more lines: without any, they are about the same lines.
                let totals = self.totals();
                if self.caught_up(before) {
                    self.tell_lost(totals);
                    self.write()?;
                    self.touched = self.inner.all_lanes();
                    return self.output.flush();
                }
            }
        }
    }

    fn totals(&self) -> Vec<(Voice, Amount)> {
        let lanes = self.inner.all_lanes();
        lanes.into_iter().map(|lane| (lane.voice.clone(), lane.total())).collect()
    }

    fn tell_lost(&mut self, totals: Vec<(Voice, Amount)>) {
        for (voice, total) in totals {
            let passed = self.passed.get(&voice).copied().unwrap_or_default();
            let missed = total.since(passed);
            if !missed.is_zero() {
                self.pass(&voice, missed);
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
        if matches!(state.mode, Mode::Behind { .. }) {
            state.mode = Mode::Live;
        }
        true
    }

    /// Writes what is formatted, however long it takes.
    fn write(&mut self) -> io::Result<()> {
        let mut start = 0;
        while start < self.out.len() {
            start += self.output.write(&self.out[start..])?;
            self.inner.queue.step();
        }
        self.out.clear();
        Ok(())
    }
}

enum Print<'a> {
    Lines(Lines<'a>),
    /// Stored status lines, with the number of the first.
    Said {
        seq: u64,
        bytes: &'a [u8],
    },
}

fn of_slab(slab: &Slab) -> Print<'_> {
    match slab.lane.voice.service() {
        None => Print::Said { seq: slab.seq, bytes: &slab.bytes },
        Some(service) => Print::Lines(Lines {
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

fn of_chunk(chunk: &Chunk) -> Print<'_> {
    match chunk.voice.service() {
        None => Print::Said { seq: chunk.batch.seq, bytes: &chunk.bytes },
        Some(service) => Print::Lines(Lines {
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
struct CloseOnDrop(Arc<Inner>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.queue.close();
        for lane in self.0.all_lanes() {
            lane.flush(&self.0.notes);
        }
    }
}
