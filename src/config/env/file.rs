use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dotenv::{self, ParsedDotenv};
use super::interpolate::UnsetReference;
use crate::config::diagnostics::{LoadReport, SourceFile, Span, quote};
use crate::config::spec::TemplateVars;
use crate::config::template::Template;
use crate::model::{DirMove, Message, MessageClass};

/// The env files that exist and could be parsed, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct EnvFileSet {
    /// Without references: they were replaced.
    pub files: BTreeMap<PathBuf, TemplateVars>,
    /// Where those of the main worktree are that are missing in this one, by the path they have here.
    of_main_worktree: BTreeMap<PathBuf, PathBuf>,
    /// Whether a file is missing or has errors. Then unset variables are not reported.
    pub incomplete: bool,
}

impl EnvFileSet {
    /// Adds a file; `outer` is the environment that its references may name.
    pub fn add(
        &mut self,
        path: PathBuf,
        source: (u32, Arc<SourceFile>),
        outer: &BTreeMap<String, String>,
        report: &mut LoadReport,
    ) {
        let (file, source) = source;
        let ParsedDotenv { entries, errors, unset } = dotenv::parse(source.text(), outer);
        self.incomplete |= !errors.is_empty();
        for unset in unset.first {
            let UnsetReference { name, within, offset } = unset;
            let place = format!("{}:{}", source.display_name(), source.line(offset));
            let text = format!("{place}: `{name}` is not set and expands to nothing in `{within}`");
            let help = format!(
                "set {name} in an earlier line or in the environment, or write ${{{name}:-default}}"
            );
            report.note(Message::new(MessageClass::Config, text).help(help));
        }
        if unset.more > 0 {
            let text = format!(
                "{}: {} more references are not set and expand to nothing",
                source.display_name(),
                unset.more
            );
            report.note(Message::new(MessageClass::Config, text));
        }
        for line in errors {
            report.error_at(Span::new(file, line.range), line.text, line.help);
        }
        let variable = |entry: dotenv::DotenvEntry| {
            (entry.name, Template::plain(entry.value, Span::new(file, entry.range)))
        };
        if source.is_of_main_worktree() {
            self.of_main_worktree.insert(path.clone(), source.path().to_owned());
        }
        self.files.insert(path, entries.into_iter().map(variable).collect());
    }

    pub fn place<'a>(&'a self, path: &'a Path) -> &'a Path {
        self.of_main_worktree.get(path).map_or(path, PathBuf::as_path)
    }

    /// Changes the paths after the project directory was moved.
    pub fn relocate(&mut self, moved: &DirMove) {
        let files = std::mem::take(&mut self.files).into_iter();
        self.files = files.map(|(path, file)| (moved.path(&path), file)).collect();
        let places = std::mem::take(&mut self.of_main_worktree).into_iter();
        self.of_main_worktree = places.map(|(path, place)| (moved.path(&path), place)).collect();
    }

    pub fn unreadable(
        &mut self,
        at: Option<Span>,
        shown: &str,
        (why, help): (&str, &str),
        report: &mut LoadReport,
    ) {
        self.incomplete = true;
        let text = format!("cannot read env file {}: {why}", quote(shown));
        report.error_at(at, text, help);
    }
}
