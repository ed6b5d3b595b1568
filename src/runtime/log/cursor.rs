use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::amount::Amount;
use super::batch::Batch;
use super::lane::Lane;
use super::missed::Missed;
use super::track::Track;
use super::voice::Voice;
use super::wanted::Wanted;

/// A reader's position in the service logs of a stack. Returns stored lines in the order of their
/// numbers. Uses little memory and keeps no files open, however far behind it is.
#[derive(Default)]
pub(super) struct Cursor {
    tracks: BTreeMap<Voice, Track>,
    wanted: Arc<Wanted>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    /// At the line with this number.
    Seq(u64),
    /// This many lines before the end.
    Last(usize),
    /// This many lines before the end, of the last run only.
    LastOfRun(usize),
}

/// An index entry with its bytes.
pub(super) struct Chunk {
    pub voice: Voice,
    pub batch: Batch,
    pub bytes: Bytes,
}

#[derive(Default)]
pub(super) struct Step {
    pub chunks: Vec<Chunk>,
    /// What was lost before these chunks.
    pub missed: Missed,
}

impl Chunk {
    pub fn amount(&self) -> Amount {
        Amount { lines: self.batch.lines.into(), bytes: self.bytes.len() as u64 }
    }
}

impl Cursor {
    /// Creates a cursor that skips entries without wanted lines. Other entries are returned whole.
    pub fn of(wanted: Arc<Wanted>) -> Cursor {
        Cursor { tracks: BTreeMap::new(), wanted }
    }

    /// Follows another service log, unless it is already followed.
    pub fn add(&mut self, lane: &Arc<Lane>, from: From) {
        self.add_wanted(lane, from, &self.wanted.clone());
    }

    pub fn add_wanted(&mut self, lane: &Arc<Lane>, from: From, wanted: &Arc<Wanted>) {
        if !self.tracks.contains_key(&lane.voice) {
            let track = Track::start(lane, from, wanted.clone());
            self.tracks.insert(lane.voice.clone(), track);
        }
    }

    /// Returns the next chunks of lines below `before`, about `bytes` bytes. Entries below it must
    /// be stored, or the writer must still hold the lock of their service log.
    pub fn step(&mut self, before: u64, bytes: usize) -> Step {
        let step = self.read(before, bytes);
        self.tracks.values_mut().for_each(Track::rest);
        step
    }

    fn read(&mut self, before: u64, bytes: usize) -> Step {
        let mut step = Step::default();
        let mut len = 0;
        while len < bytes {
            for (voice, track) in &mut self.tracks {
                step.missed.add(voice.service(), track.fill());
            }
            let tracks = self.tracks.iter_mut();
            let first = tracks.filter_map(|(voice, track)| Some((track.first()?, voice, track)));
            let Some((seq, voice, track)) = first.min_by_key(|(seq, _, _)| *seq) else { break };
            if seq >= before {
                break;
            }
            match track.take() {
                Ok(Some(chunk)) => {
                    len += chunk.bytes.len();
                    step.chunks.push(chunk);
                }
                Ok(None) => {}
                Err(lost) => step.missed.add(voice.service(), lost),
            }
        }
        step
    }
}
