use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::Message;

use super::builder::DiagnosticBuilder;
use super::diagnostic::{Diagnostic, LabeledSpan};
use super::list::DiagnosticList;
use super::source_file::SourceFile;
use super::span::Span;

/// More than a user reads at once, and few enough that a hostile file cannot fill the memory.
const MAX_ERRORS: usize = 50;

/// The files that were read, and the errors found so far.
#[derive(Debug, Default)]
pub(crate) struct LoadReport {
    sources: Vec<Arc<SourceFile>>,
    faults: Vec<DiagnosticBuilder>,
    dropped: usize,
    notes: Vec<Message>,
    looked_for: BTreeSet<PathBuf>,
    seen: HashSet<(Option<Span>, String)>,
}

pub(crate) struct LoadedFiles {
    /// Worth knowing, but not errors.
    pub notes: Vec<Message>,
    /// Every file that was read or looked for.
    pub files: BTreeSet<PathBuf>,
    pub sources: Vec<Arc<SourceFile>>,
}

impl LoadReport {
    /// Starts with files that were read before.
    pub fn of_files(sources: Vec<Arc<SourceFile>>) -> LoadReport {
        LoadReport { sources, ..LoadReport::default() }
    }

    /// Adds a file and returns its number.
    pub fn add_source(&mut self, source: SourceFile) -> (u32, Arc<SourceFile>) {
        let source = Arc::new(source);
        self.sources.push(Arc::clone(&source));
        ((self.sources.len() - 1) as u32, source)
    }

    pub fn text(&self, file: u32) -> &str {
        self.sources[file as usize].text()
    }

    pub fn shown(&self, file: u32) -> &str {
        self.sources[file as usize].display_name()
    }

    pub fn track_file(&mut self, path: PathBuf) {
        self.looked_for.insert(path);
    }

    /// Whether the list is full. Loops that produce many errors should stop then.
    pub fn is_full(&self) -> bool {
        self.faults.len() >= MAX_ERRORS
    }

    /// Adds an error. The same text at the same place counts once.
    pub fn error(&mut self, fault: DiagnosticBuilder) {
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        let place = fault.marks.first().map(|mark| mark.0);
        if self.seen.insert((place, fault.message.text.clone())) {
            self.faults.push(fault);
        }
    }

    pub fn error_at(
        &mut self,
        place: impl Into<Option<Span>>,
        text: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.error(DiagnosticBuilder::at(place, text).help(help));
    }

    pub fn note(&mut self, note: Message) {
        if self.notes.len() < MAX_ERRORS && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub fn count(&self) -> usize {
        self.faults.len() + self.dropped
    }

    pub fn finish(self) -> Result<LoadedFiles, DiagnosticList> {
        let sources = self.sources;
        if self.faults.is_empty() {
            return Ok(LoadedFiles { notes: self.notes, files: self.looked_for, sources });
        }
        let diagnostic = |fault: DiagnosticBuilder| Diagnostic {
            message: fault.message,
            marks: fault.marks.into_iter().map(|mark| attach(&sources, mark)).collect(),
        };
        let mut list: Vec<Diagnostic> = self.faults.into_iter().map(diagnostic).collect();
        list.sort_by(|a, b| a.order().cmp(&b.order()));
        Err(DiagnosticList { list, dropped: self.dropped, files: self.looked_for })
    }
}

fn attach(sources: &[Arc<SourceFile>], (place, label): (Span, String)) -> LabeledSpan {
    let source = Arc::clone(&sources[place.file as usize]);
    LabeledSpan { source, range: place.start as usize..place.end as usize, label }
}
