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

/// Where somebody reads in the lanes of a stack: gives what is stored in the order of its numbers.
/// Holds little memory and no files, however far behind it is.
#[derive(Default)]
pub(super) struct Cursor {
    tracks: BTreeMap<Voice, Track>,
    wanted: Arc<Wanted>,
}

/// Where to start reading.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    /// At the line with this number.
    Seq(u64),
    /// So many lines before the end.
    Last(usize),
    /// So many lines before the end, of the last run only.
    LastOfRun(usize),
}

/// A batch with its bytes.
pub(super) struct Chunk {
    pub voice: Voice,
    pub batch: Batch,
    pub bytes: Bytes,
}

/// What one step gives.
#[derive(Default)]
pub(super) struct Step {
    pub chunks: Vec<Chunk>,
    /// How much is lost that should have come before these.
    pub missed: Missed,
}

impl Chunk {
    /// How much it is.
    pub fn amount(&self) -> Amount {
        Amount { lines: self.batch.lines.into(), bytes: self.bytes.len() as u64 }
    }
}

impl Cursor {
    /// A cursor that leaves out batches without wanted lines. In the others, all lines are there.
    pub fn of(wanted: Arc<Wanted>) -> Cursor {
        Cursor { tracks: BTreeMap::new(), wanted }
    }

    /// Follows one more lane, if it does not yet.
    pub fn add(&mut self, lane: &Arc<Lane>, from: From) {
        self.add_wanted(lane, from, &self.wanted.clone());
    }

    /// Follows one more lane, of which these lines are wanted.
    pub fn add_wanted(&mut self, lane: &Arc<Lane>, from: From, wanted: &Arc<Wanted>) {
        if !self.tracks.contains_key(&lane.voice) {
            let track = Track::start(lane, from, wanted.clone());
            self.tracks.insert(lane.voice.clone(), track);
        }
    }

    /// The next chunks whose lines have numbers below `before`, until they have `bytes` bytes or
    /// no more are there. Every batch below `before` must be stored, or be in a lane that is being written.
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
