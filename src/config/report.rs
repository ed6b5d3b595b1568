use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::Message;

use super::diagnostic::{Diagnostic, Mark};
use super::diagnostics::Diagnostics;
use super::fault::Fault;
use super::place::Place;
use super::source::Source;

/// More than a user reads at once, and few enough that a hostile file cannot fill the memory.
const MAX_FAULTS: usize = 50;

/// The files that were read, and the errors found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    sources: Vec<Arc<Source>>,
    faults: Vec<Fault>,
    dropped: usize,
    notes: Vec<Message>,
    looked_for: BTreeSet<PathBuf>,
    seen: HashSet<(Option<Place>, String)>,
}

pub(super) struct Findings {
    /// Worth knowing, but not errors.
    pub notes: Vec<Message>,
    /// Every file that was read or looked for.
    pub files: BTreeSet<PathBuf>,
    pub sources: Vec<Arc<Source>>,
}

impl Report {
    /// Adds a file and returns its number.
    pub fn add_source(&mut self, source: Source) -> (u32, Arc<Source>) {
        let source = Arc::new(source);
        self.sources.push(Arc::clone(&source));
        ((self.sources.len() - 1) as u32, source)
    }

    pub fn text(&self, file: u32) -> &str {
        self.sources[file as usize].text()
    }

    pub fn shown(&self, file: u32) -> &str {
        self.sources[file as usize].shown()
    }

    pub fn look_for(&mut self, path: PathBuf) {
        self.looked_for.insert(path);
    }

    /// Whether the list is full. Loops that produce many errors should stop then.
    pub fn is_full(&self) -> bool {
        self.faults.len() >= MAX_FAULTS
    }

    /// Adds an error. The same text at the same place counts once.
    pub fn push(&mut self, fault: Fault) {
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        let place = fault.marks.first().map(|mark| mark.0);
        if self.seen.insert((place, fault.message.text.clone())) {
            self.faults.push(fault);
        }
    }

    pub fn note(&mut self, note: Message) {
        if self.notes.len() < MAX_FAULTS && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub fn count(&self) -> usize {
        self.faults.len() + self.dropped
    }

    pub fn finish(self) -> Result<Findings, Diagnostics> {
        let sources = self.sources;
        if self.faults.is_empty() {
            return Ok(Findings { notes: self.notes, files: self.looked_for, sources });
        }
        let diagnostic = |fault: Fault| Diagnostic {
            message: fault.message,
            marks: fault.marks.into_iter().map(|mark| attach(&sources, mark)).collect(),
        };
        let mut list: Vec<Diagnostic> = self.faults.into_iter().map(diagnostic).collect();
        list.sort_by(|a, b| a.order().cmp(&b.order()));
        Err(Diagnostics { list, dropped: self.dropped, files: self.looked_for })
    }
}

fn attach(sources: &[Arc<Source>], (place, label): (Place, String)) -> Mark {
    let source = Arc::clone(&sources[place.file as usize]);
    Mark { source, range: place.start as usize..place.end as usize, label }
}
