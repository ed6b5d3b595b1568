//! Reads a configuration with the files that it includes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{
    FileDiscovery, FoundFile, LOCAL_FILE, ReadFileError, TrustedUsers, config_dir, display_path,
    read_config,
};
use crate::config::ConfigSources;
use crate::config::check::include::{IncludeSpec, check_includes};
use crate::config::diagnostics::{LoadReport, Span, quote};
use crate::config::parse::{RawTable, is_procfile, merge, parse};
use crate::config::resolve::{ConfigText, ConfigUnit, IncludedUnit};
use crate::model::{CONFIG_FILE, CONFIG_FILES};

/// How deeply files may include each other.
const MAX_DEPTH: usize = 8;

/// Maximum number of included files, each with its local one.
const MAX_UNITS: usize = 64;

/// Maximum size of all files together, in bytes.
const MAX_TOTAL: usize = 8 * 1024 * 1024;

/// Reads files and what they include.
pub(super) struct UnitReader<'r> {
    sources: &'r ConfigSources,
    report: &'r mut LoadReport,
    /// Whose files are obeyed.
    trusted: TrustedUsers,
    /// Each after those that it includes.
    units: Vec<ConfigUnit>,
    /// The unit of each file, by canonical path.
    known: BTreeMap<PathBuf, usize>,
    /// The files that are being read, from the main one: canonical path and display name.
    chain: Vec<(PathBuf, String)>,
    /// In bytes.
    total: usize,
}

impl<'r> UnitReader<'r> {
    pub fn new(sources: &'r ConfigSources, report: &'r mut LoadReport) -> UnitReader<'r> {
        let trusted = TrustedUsers::new(sources);
        let (units, known, chain) = (Vec::new(), BTreeMap::new(), Vec::new());
        UnitReader { sources, report, trusted, units, known, chain, total: 0 }
    }

    /// Reads the main files, later ones over earlier ones, and returns all units, the main one last,
    /// and whose env files to trust. `None` if a file cannot be read; the reason is in the report.
    pub fn read(mut self, main: Vec<FoundFile>) -> Option<(Vec<ConfigUnit>, TrustedUsers)> {
        self.unit(main, String::new(), None)?;
        Some((self.units, self.trusted))
    }

    /// Reads one unit after those that it includes. `included`: where another one includes it.
    fn unit(
        &mut self,
        files: Vec<FoundFile>,
        prefix: String,
        included: Option<Span>,
    ) -> Option<usize> {
        let first = files.first()?.path.clone();
        let dir = config_dir(&first);
        let shown = display_path(&first, &self.sources.cwd);
        let canonical = fs::canonicalize(&first).unwrap_or(first);
        let texts = self.texts(files, &dir, included)?;
        let written = self.includes(&texts)?;
        self.chain.push((canonical.clone(), shown));
        let mut includes = Vec::new();
        for written in written {
            let unit = self.included(&dir, &prefix, &written)?;
            includes.push(IncludedUnit { unit, written });
        }
        self.chain.pop();
        self.units.push(ConfigUnit { texts, dir, prefix, includes });
        self.known.insert(canonical, self.units.len() - 1);
        Some(self.units.len() - 1)
    }

    /// Reads the files of a unit. Local changes override the first one, and `-f` files after it
    /// override both.
    fn texts(
        &mut self,
        found: Vec<FoundFile>,
        dir: &Path,
        included: Option<Span>,
    ) -> Option<Vec<ConfigText>> {
        let local = dir.join(LOCAL_FILE);
        let named = found.iter().any(|file| file.path == local);
        let mut files: Vec<(FoundFile, bool)> =
            found.into_iter().map(|file| (file, true)).collect();
        if !named && !self.sources.without_local {
            let local = FoundFile { path: local, discovery: FileDiscovery::Beside };
            files.insert(1.min(files.len()), (local, false));
        }
        let (mut texts, mut complete) = (Vec::new(), true);
        for (file, required) in files {
            let read = read_config(&file, self.sources, &mut self.trusted, self.report);
            match read {
                Ok(text) => texts.push(text),
                Err(ReadFileError::Absent) if !required => {}
                Err(why) => {
                    self.unreadable(&file.path, included, &why);
                    complete = false;
                }
            }
        }
        self.total += texts.iter().map(|(_, source)| source.text().len()).sum::<usize>();
        if self.total > MAX_TOTAL {
            let help = "include fewer or smaller files: the limit for all is 8 MiB";
            self.report.error_at(included, "the included files are too large together", help);
            return None;
        }
        complete.then_some(texts)
    }

    fn unreadable(&mut self, path: &Path, included: Option<Span>, why: &ReadFileError) {
        let what = if included.is_some() { "included file " } else { "" };
        let shown = quote(&display_path(path, &self.sources.cwd));
        let text = format!("cannot read {what}{shown}: {}", why.text());
        let help = match included {
            Some(_) => why.include_help(),
            None => why.help(),
        };
        self.report.error_at(included, text, help);
    }

    /// Returns what files include, later ones over earlier ones. `None` if one is invalid.
    fn includes(&mut self, texts: &[ConfigText]) -> Option<Vec<IncludeSpec>> {
        // Most files include nothing, and every file is parsed again to be checked.
        if !texts.iter().any(|(_, source)| source.text().contains("include")) {
            return Some(Vec::new());
        }
        let mut merged = RawTable::new();
        for (file, source) in texts {
            if is_procfile(source.path()) {
                continue;
            }
            merge(&mut merged, parse(source.text(), *file, self.report)?);
        }
        Some(check_includes(&merged, self.report))
    }

    /// Reads an included file, unless it was read before.
    fn included(&mut self, dir: &Path, prefix: &str, written: &IncludeSpec) -> Option<usize> {
        let at = written.at;
        let mut path = dir.join(&written.path);
        if path.is_dir() {
            let here = |file: &&str| path.join(file).is_file();
            path.push(CONFIG_FILES.into_iter().find(here).unwrap_or(CONFIG_FILE));
        }
        let canonical = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if let Some(first) = self.chain.iter().position(|(open, _)| *open == canonical) {
            let mut names: Vec<&str> =
                self.chain[first..].iter().map(|(_, shown)| shown.as_str()).collect();
            names.extend(names.first().copied());
            let text = format!("files include each other: {}", names.join(" → "));
            self.report.error_at(at, text, "remove one of these includes");
            return None;
        }
        if let Some(unit) = self.known.get(&canonical) {
            return Some(*unit);
        }
        if self.chain.len() > MAX_DEPTH || self.units.len() >= MAX_UNITS {
            let text = match self.units.len() >= MAX_UNITS {
                true => format!("more than {MAX_UNITS} files are included"),
                false => format!("files are included more than {MAX_DEPTH} levels deep"),
            };
            self.report.error_at(at, text, "include fewer files");
            return None;
        }
        let prefix = match &written.prefix {
            Some(name) => format!("{prefix}{name}-"),
            None => prefix.to_owned(),
        };
        self.unit(vec![FoundFile { path, discovery: FileDiscovery::Beside }], prefix, Some(at))
    }
}
