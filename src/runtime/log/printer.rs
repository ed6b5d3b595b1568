use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::cursor::{Chunk, Cursor, From};
use super::lane::Lane;
use super::logs::Inner;
use super::look::Look;
use super::output::Output;
use super::painter::{Lines, Painter};
use super::queue::{Entry, Mode, Slab};
use super::said::{Said, Tone};

/// Shows the log, in a thread of its own: the only one that waits for the terminal.
struct Printer {
    inner: Arc<Inner>,
    output: Output,
    painter: Painter,
    /// What is painted and not written yet.
    out: Vec<u8>,
    /// Lanes whose lines were shown and whose index may not be written yet.
    touched: Vec<Arc<Lane>>,
}

/// So much is painted before it is written.
const OUT: usize = 256 * 1024;

/// Starts the thread.
pub(super) fn start(inner: Arc<Inner>, look: Look, output: Output) -> io::Result<()> {
    let painter = Painter::new(look, Arc::default());
    let printer =
        Printer { inner, output, painter, out: Vec::with_capacity(2 * OUT), touched: Vec::new() };
    std::thread::Builder::new().name("log".to_owned()).spawn(move || printer.run())?;
    Ok(())
}

impl Printer {
    fn run(mut self) {
        // Also when a panic ends this thread, `finish` must not wait for it.
        let _close = CloseOnDrop(self.inner.clone());
        while let Some(entries) = self.inner.queue.next() {
            let table = self.inner.queue.state().table.clone();
            self.painter.set_table(table);
            let done = if entries.is_empty() { self.catch_up() } else { self.show(entries) };
            if let Err(error) = done {
                tracing::debug!("the log is no longer shown: {error}");
                self.inner.output_is_gone(&error);
                return;
            }
            for lane in self.touched.drain(..) {
                lane.flush(&self.inner.notes);
            }
        }
    }

    /// Shows what came through the queue.
    fn show(&mut self, entries: VecDeque<Entry>) -> io::Result<()> {
        for entry in entries {
            match &entry {
                Entry::Lines(slab) => {
                    self.touch(&slab.lane);
                    self.painter.lines(&of_slab(slab), &mut self.out);
                }
                Entry::Said(at, said) => self.painter.said(said, *at, &mut self.out),
            }
            if self.out.len() >= OUT {
                self.write()?;
            }
            // Counted until here, so that what is in memory is bounded whatever the output does.
            self.inner.queue.shown(entry);
        }
        self.write()?;
        self.output.flush()
    }

    fn touch(&mut self, lane: &Arc<Lane>) {
        if !self.touched.iter().any(|known| Arc::ptr_eq(known, lane)) {
            self.touched.push(lane.clone());
        }
    }

    /// Shows what was stored while the queue was full, until there is no more.
    fn catch_up(&mut self) -> io::Result<()> {
        let Mode::Behind { since, .. } = self.inner.queue.state().mode else { return Ok(()) };
        let mut cursor = Cursor::default();
        let mut shown = 0;
        loop {
            let before = self.inner.queue.state().next_seq;
            for lane in self.inner.all_lanes() {
                cursor.add(&lane, From::Seq(since));
            }
            let step = cursor.step(before, OUT);
            for chunk in &step.chunks {
                shown += self.say_before(chunk.batch.seq);
                shown += u64::from(chunk.batch.lines);
                self.painter.lines(&of_chunk(chunk), &mut self.out);
                if self.out.len() >= OUT {
                    self.write()?;
                }
            }
            self.write()?;
            if step.chunks.is_empty() {
                shown += self.say_before(before);
                self.write()?;
                if self.caught_up(before, since + shown) {
                    self.write()?;
                    self.touched = self.inner.all_lanes();
                    return self.output.flush();
                }
            }
        }
    }

    /// Shows what devstack said before the line `seq`; gives how many lines that were.
    fn say_before(&mut self, seq: u64) -> u64 {
        let mut count = 0;
        loop {
            let mut state = self.inner.queue.state();
            let Mode::Behind { said, .. } = &mut state.mode else { return count };
            if said.front().is_none_or(|(number, _, _)| *number >= seq) {
                return count;
            }
            let Some((_, at, line)) = said.pop_front() else { return count };
            drop(state);
            self.painter.said(&line, at, &mut self.out);
            count += 1;
        }
    }

    /// Goes back to the queue if everything before it is shown: `before` is the number after the last
    /// line that was looked for, `reached` what it would be if nothing were lost.
    fn caught_up(&mut self, before: u64, reached: u64) -> bool {
        let mut state = self.inner.queue.state();
        if state.next_seq != before {
            return false;
        }
        if matches!(state.mode, Mode::Behind { .. }) {
            state.mode = Mode::Live;
        }
        drop(state);
        let lost = before.saturating_sub(reached);
        if lost > 0 {
            let text =
                format!("{lost} lines are lost: they were no longer kept when they could be shown");
            self.painter.said(&Said::all(Tone::Warning, text), super::logs::now(), &mut self.out);
        }
        true
    }

    /// Writes what is painted, however long it takes.
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

fn of_slab(slab: &Slab) -> Lines<'_> {
    Lines {
        service: &slab.lane.name,
        run: slab.run,
        stream: slab.stream,
        seq: slab.seq,
        at: slab.at,
        continues: slab.continues,
        open: slab.open,
        bytes: &slab.bytes,
    }
}

fn of_chunk(chunk: &Chunk) -> Lines<'_> {
    Lines {
        service: &chunk.service,
        run: chunk.batch.run,
        stream: chunk.batch.stream,
        seq: chunk.batch.seq,
        at: chunk.batch.at,
        continues: chunk.batch.continues,
        open: chunk.batch.open,
        bytes: &chunk.bytes,
    }
}

/// Closes the queue when the printer ends, however it ends.
struct CloseOnDrop(Arc<Inner>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.queue.close();
        for lane in self.0.all_lanes() {
            lane.flush(&self.0.notes);
        }
    }
}
