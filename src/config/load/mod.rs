//! The only part of the configuration that reads files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::{Message, MessageClass};

use super::config::Config;
use super::diagnostics::{DiagnosticList, LoadReport, LoadedFiles, SourceFile, quote};
use super::env::EnvFileSet;
use super::parse::{VENVS, is_procfile};
use super::resolve::{ConfigText, parse_and_check, resolve_spec};
use super::sources::ConfigSources;
use super::spec::{EnvFileSpec, StackSpec};

/// The user's own changes, next to the main file.
pub const LOCAL_FILE: &str = "devstack.local.toml";

/// Reads and checks a configuration: its files, their overrides, and env files.
///
/// # Errors
///
/// Everything that is wrong, as far as it can be found at once.
pub fn load(sources: &ConfigSources) -> Result<Config, DiagnosticList> {
    let mut report = LoadReport::default();
    let parts = read(sources, &mut report);
    let LoadedFiles { notes, files, sources: texts } = report.finish()?;
    let (spec, env_files, requests) = parts.expect("no errors, so there is a configuration");
    let outer = sources.env.clone();
    Ok(Config { spec, env_files, outer, port_requests: requests, notes, files, sources: texts })
}

/// Returns the files that [`load`] starts from: those of `-f`, or the one that it finds. Relative to
/// the project directory if they are below it, so that they are the same wherever that is.
pub fn config_files(sources: &ConfigSources) -> Vec<PathBuf> {
    let found = find_files(sources, &mut LoadReport::default()).unwrap_or_default();
    let whole =
        |file: &FoundFile| config_dir(&file.path).join(file.path.file_name().unwrap_or_default());
    let files: Vec<PathBuf> = found.iter().map(whole).collect();
    let dir = files.first().and_then(|file| file.parent()).unwrap_or(Path::new(""));
    files.iter().map(|file| file.strip_prefix(dir).unwrap_or(file).to_owned()).collect()
}

fn read(sources: &ConfigSources, report: &mut LoadReport) -> Option<super::resolve::ConfigParts> {
    let found = find_files(sources, report)?;
    let (units, trusted) = UnitReader::new(sources, report).read(found)?;
    let mut spec = parse_and_check(&units, &sources.overrides, report)?;
    spec.domain = domain::domain_of(&spec.name, &spec.dir);
    check_dirs(&spec, report);
    let env_files = read_env_files(&spec, sources, &trusted, report);
    Some(resolve_spec(spec, env_files, &sources.env, &sources.overrides, report))
}

/// Returns a file's directory, canonicalized if it has `..`, which symlinks could redirect.
fn config_dir(path: &Path) -> PathBuf {
    let dir = path.parent().unwrap_or(path);
    let up = dir.components().any(|part| part == std::path::Component::ParentDir);
    let real = if up { std::fs::canonicalize(dir).ok() } else { None };
    real.unwrap_or_else(|| dir.components().collect())
}

/// Reads a configuration file if its owners are trusted, and trusts them from then on.
fn read_config(
    file: &FoundFile,
    sources: &ConfigSources,
    trusted: &mut TrustedUsers,
    report: &mut LoadReport,
) -> Result<ConfigText, ReadFileError> {
    let path = &file.path;
    report.track_file(path.clone());
    let shown = display_path(path, &sources.cwd);
    let (found, stranger) = read_judged(file, trusted)?;
    if let Some(owner) = stranger {
        report.note(Message::new(
            MessageClass::Config,
            format!("{} belongs to user {owner}, not to you", quote(&shown)),
        ));
    }
    // The owner of a local or included file is trusted already.
    trusted.add(&found.owners);
    let source = match found.leads_outside {
        true => SourceFile::secret(path.clone(), shown, found.text),
        false => SourceFile::config(path.clone(), shown, found.text),
    };
    let source = match is_procfile(path) && has_venv(path, report) {
        true => source.beside_venv(),
        false => source,
    };
    Ok(report.add_source(source))
}

/// Whether the directory of a file has a virtual environment of Python. Its marks are tracked, because
/// it may be created.
fn has_venv(file: &Path, report: &mut LoadReport) -> bool {
    let marks = VENVS.map(|venv| file.with_file_name(venv).join("pyvenv.cfg"));
    let found = marks.iter().any(|mark| mark.is_file());
    marks.into_iter().for_each(|mark| report.track_file(mark));
    found
}

/// Reads a file if its owners are trusted. Also returns the other user whose file is used anyway.
fn read_judged(
    file: &FoundFile,
    trusted: &TrustedUsers,
) -> Result<(FileText, Option<u32>), ReadFileError> {
    let found = read_text(&file.path)?;
    match judge(&found.owners, &file.discovery, trusted) {
        Verdict::Obeyed => Ok((found, None)),
        Verdict::Noted(owner) => Ok((found, Some(owner))),
        Verdict::Refused(owner) if file.discovery == FileDiscovery::Beside => {
            Err(ReadFileError::Foreign { owner })
        }
        Verdict::Refused(owner) => Err(ReadFileError::ForeignAbove { owner }),
        Verdict::RefusedInOpenDir(owner) => Err(ReadFileError::ForeignInOpenDir { owner }),
    }
}

/// Reports directories that do not exist. Each is checked once.
fn check_dirs(spec: &StackSpec, report: &mut LoadReport) {
    let mut asked: BTreeMap<&Path, bool> = BTreeMap::new();
    for service in spec.services.values() {
        let Some(at) = service.dir_at else { continue };
        if *asked.entry(&service.dir).or_insert_with(|| service.dir.is_dir()) {
            continue;
        }
        let dir = service.dir.strip_prefix(&spec.dir).unwrap_or(&service.dir);
        let dir = quote(&dir.to_string_lossy());
        let text = match service.dir.exists() {
            true => format!("{dir} is not a directory"),
            false => format!("no such directory: {dir}"),
        };
        let help = "create it, or fix `dir`; `dir` is relative to the directory of devstack.toml";
        report.error_at(at, text, help);
    }
}

/// Reads all env files. Those of other users are rejected, because variables can make programs run
/// code.
fn read_env_files(
    spec: &StackSpec,
    sources: &ConfigSources,
    trusted: &TrustedUsers,
    report: &mut LoadReport,
) -> EnvFileSet {
    let read = |path: &Path| {
        let file = FoundFile { path: path.to_owned(), discovery: FileDiscovery::Beside };
        read_judged(&file, trusted).map(|(found, _)| found.text)
    };
    let mut files = EnvFileSet::default();
    let mut absent: BTreeMap<&Path, UnreadFile> = BTreeMap::new();
    let of_services = spec.services.values().flat_map(|service| &service.env_files);
    let of_scopes = spec.scopes.iter().flat_map(|scope| &scope.env_files);
    for wanted in of_scopes.chain(of_services) {
        let EnvFileSpec { path, optional, at } = wanted;
        if files.files.contains_key(path) {
            continue;
        }
        let shown = display_path(path, &sources.cwd);
        if !absent.contains_key(path.as_path()) {
            report.track_file(path.clone());
            let found = read(path)
                .map(|text| SourceFile::secret(path.clone(), shown.clone(), text))
                .map_err(|why| UnreadFile { shown: shown.clone(), why });
            match found.or_else(|not| read_in_main_worktree(path, not, read, sources, report)) {
                Ok(source) => {
                    let source = report.add_source(source);
                    files.add(path.clone(), source, &sources.env, report);
                    continue;
                }
                Err(unread) => {
                    absent.insert(path, unread);
                }
            }
        }
        let UnreadFile { shown, why } = &absent[path.as_path()];
        match why {
            ReadFileError::Absent if *optional => {}
            why => files.unreadable(*at, shown, (&why.text(), why.env_help()), report),
        }
    }
    files
}

/// An env file that could not be read, by its display name.
struct UnreadFile {
    shown: String,
    why: ReadFileError,
}

/// Reads an env file of the main worktree if `path` is missing in this one because git ignores it.
fn read_in_main_worktree(
    path: &Path,
    missing: UnreadFile,
    read: impl Fn(&Path) -> Result<String, ReadFileError>,
    sources: &ConfigSources,
    report: &mut LoadReport,
) -> Result<SourceFile, UnreadFile> {
    let ReadFileError::Absent = missing.why else { return Err(missing) };
    let Some(main) = in_main_worktree(path) else { return Err(missing) };
    report.track_file(main.clone());
    let shown = display_path(&main, &sources.cwd);
    let text = match read(&main) {
        Ok(text) => text,
        Err(ReadFileError::Absent) => return Err(missing),
        Err(why) => return Err(UnreadFile { shown, why }),
    };
    let (here, there) = (quote(&missing.shown), quote(&shown));
    let note = format!("{here} is missing in this git worktree; using {there}");
    report.note(Message::new(MessageClass::Config, note));
    Ok(SourceFile::secret(main, shown, text).of_main_worktree())
}

/// Returns the path for display: relative to the working directory if below it.
fn display_path(path: &Path, cwd: &Path) -> String {
    match path.strip_prefix(cwd).unwrap_or(path) {
        here if here.as_os_str().is_empty() => ".".to_owned(),
        path => path.display().to_string(),
    }
}

mod names;

use file_trust::{FileDiscovery, TrustedUsers, Verdict, judge};
pub use import_trust::ImportTrust;
use include::UnitReader;
pub use names::{ConfigNames, config_names};
use read_file::{FileText, ReadFileError, read_text};
use search::{FoundFile, find_files};
use worktree::in_main_worktree;

mod domain;
mod file_trust;
mod import_trust;
mod include;
mod read_file;
mod search;
#[cfg(test)]
mod tests;
mod worktree;
