use std::collections::BTreeMap;
use std::sync::Arc;

use super::line_filter::LineFilter;
use super::line_joiner::LineJoiner;
use super::service_log_cursor::ServiceLogCursor;
use crate::log::log_source::LogSource;
use crate::log::missed_lines::MissedLines;
use crate::log::store::{LogChunk, ServiceLog};

/// A reader's position in the service logs of a stack. Returns stored lines in the order of their
/// numbers. Uses little memory and keeps no files open, however far behind it is.
#[derive(Default)]
pub(crate) struct LogCursor {
    tracks: BTreeMap<LogSource, ServiceLogCursor>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum ReadFrom {
    /// At the line with this number.
    Seq(u64),
    /// This many lines before the end.
    Last(usize),
}

#[derive(Default)]
pub(crate) struct ReadStep {
    pub chunks: Vec<LogChunk>,
    /// What was lost before these chunks.
    pub missed: MissedLines,
    /// Whether lines after the requested start may have been removed.
    pub is_too_late: bool,
}

impl ReadStep {
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.missed.is_empty()
    }

    /// Joins long lines. `ended`: nothing follows.
    pub fn joined(mut self, joiner: &mut LineJoiner, ended: bool) -> ReadStep {
        let mut chunks = Vec::with_capacity(self.chunks.len());
        if !self.missed.is_empty() {
            // Perhaps pieces of long lines: what follows may not be their rest.
            joiner.finish(&mut chunks);
        }
        self.chunks.drain(..).for_each(|chunk| joiner.push(chunk, &mut chunks));
        if ended {
            joiner.finish(&mut chunks);
        }
        ReadStep { chunks, ..self }
    }
}

impl LogCursor {
    /// Follows another service log, unless it is already followed. Skips entries without wanted lines;
    /// others are returned whole. Reads no file yet.
    pub fn add(&mut self, service_log: &Arc<ServiceLog>, from: ReadFrom, wanted: &Arc<LineFilter>) {
        if !self.tracks.contains_key(&service_log.source) {
            let track = ServiceLogCursor::new(service_log, from, wanted.clone());
            self.tracks.insert(service_log.source.clone(), track);
        }
    }

    /// Returns the next chunks of lines below `before`, about `bytes` bytes of memory. Entries below
    /// it must have been pushed, or the capture must still hold the lock of their service log. Reads
    /// files.
    pub fn step(&mut self, before: u64, bytes: usize) -> ReadStep {
        self.tracks.values_mut().for_each(ServiceLogCursor::seek);
        let mut step = self.read(before, bytes);
        for track in self.tracks.values_mut() {
            step.is_too_late |= track.take_too_late();
        }
        self.tracks.values_mut().for_each(ServiceLogCursor::end_step);
        step
    }

    fn read(&mut self, before: u64, bytes: usize) -> ReadStep {
        let mut step = ReadStep::default();
        let mut len = 0;
        while len < bytes {
            for (source, track) in &mut self.tracks {
                step.missed.add(source.service(), track.prefetch());
            }
            let tracks = self.tracks.iter_mut();
            let first = tracks.filter_map(|(source, track)| Some((track.first()?, source, track)));
            let Some((seq, source, track)) = first.min_by_key(|(seq, _, _)| *seq) else { break };
            if seq >= before {
                break;
            }
            match track.take() {
                Ok(Some(chunk)) => {
                    len += size_of::<LogChunk>() + chunk.bytes.len();
                    step.chunks.push(chunk);
                }
                Ok(None) => {}
                Err(lost) => step.missed.add(source.service(), lost),
            }
        }
        step
    }
}
