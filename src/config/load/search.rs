//! Finds the configuration file of a directory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file_trust::{DirAccess, FileDiscovery};
use super::quote;
use crate::config::ConfigSources;
use crate::config::diagnostics::{DiagnosticBuilder, LoadReport};
use crate::config::importable::{MANIFESTS, STACK_FILES};
use crate::model::{CONFIG_FILE, CONFIG_FILES, Message, MessageClass};

/// A configuration file and how it was found.
pub(super) struct FoundFile {
    pub path: PathBuf,
    pub discovery: FileDiscovery,
}

/// Returns the files given with `-f`, or else the nearest file in the current directory or above.
pub(super) fn find_files(
    sources: &ConfigSources,
    report: &mut LoadReport,
) -> Option<Vec<FoundFile>> {
    if !sources.files.is_empty() {
        let named = |file: &PathBuf| FoundFile {
            path: sources.cwd.join(file),
            discovery: FileDiscovery::Named,
        };
        return Some(sources.files.iter().map(named).collect());
    }
    match search(&sources.cwd, home(sources).as_deref()) {
        Ok(found) => {
            note_procfile(&found.path, report);
            Some(vec![found])
        }
        Err(ignored) => {
            CONFIG_FILES.iter().for_each(|file| report.track_file(sources.cwd.join(file)));
            report.error(not_found(&sources.cwd, ignored));
            None
        }
    }
}

/// Says that a Procfile is used. The names that come before it are tracked, because such a file may
/// be created.
fn note_procfile(path: &Path, report: &mut LoadReport) {
    let name = path.file_name().unwrap_or_default();
    let before = CONFIG_FILES.iter().take_while(|file| name != **file);
    before.for_each(|file| report.track_file(path.with_file_name(file)));
    if name != CONFIG_FILE {
        let name = name.to_string_lossy();
        let text = format!("using {name}: no {CONFIG_FILE} found");
        let help = format!("run `devstack init` to write a {CONFIG_FILE} from it");
        report.note(Message::new(MessageClass::Config, text).help(help));
    }
}

fn home(sources: &ConfigSources) -> Option<PathBuf> {
    fs::canonicalize(sources.env.get("HOME").filter(|home| !home.is_empty())?).ok()
}

/// A file that is not used because the search ended before its directory.
struct IgnoredFile {
    path: PathBuf,
    /// The last directory searched.
    last: PathBuf,
    why: &'static str,
}

/// Searches upward: the nearest directory with a configuration counts. A file beyond a mount, the
/// home directory or a directory that every user can write is not meant for the current directory.
fn search(cwd: &Path, home: Option<&Path>) -> Result<FoundFile, Option<IgnoredFile>> {
    let mut dirs: Vec<DirAccess> = Vec::new();
    let mut device = None;
    let mut last = cwd;
    for dir in cwd.ancestors() {
        let about = fs::metadata(dir).ok();
        let access = about.as_ref().map(DirAccess::of);
        let limit = if about.as_ref().is_some_and(|it| device.is_some_and(|had| had != it.dev())) {
            Some("another file system begins above it")
        } else if home == Some(last) && dir != last {
            Some("it is the home directory")
        } else if access.is_some_and(DirAccess::is_public) && !dirs.is_empty() {
            Some("other users can write the directory above it")
        } else {
            None
        };
        // What cannot be read cannot be judged.
        let (Some(about), Some(access), None) = (about, access, limit) else {
            let why = limit.unwrap_or("a directory cannot be read");
            let ignored = dir.ancestors().find_map(config_file_in);
            return Err(ignored.map(|path| IgnoredFile { path, last: last.to_owned(), why }));
        };
        device = Some(about.dev());
        dirs.push(access);
        last = dir;
        if let Some(path) = config_file_in(dir) {
            let discovery = match dirs.as_slice() {
                [here] if dir == cwd => FileDiscovery::Here(*here),
                _ => FileDiscovery::Above(dirs),
            };
            return Ok(FoundFile { path, discovery });
        }
    }
    Err(None)
}

fn config_file_in(dir: &Path) -> Option<PathBuf> {
    CONFIG_FILES.iter().map(|file| dir.join(file)).find(|path| path.is_file())
}

fn not_found(cwd: &Path, ignored: Option<IgnoredFile>) -> DiagnosticBuilder {
    let dir = cwd.display();
    let (text, first) = match ignored {
        None => (format!("no {CONFIG_FILE} found in {dir} or any parent directory"), String::new()),
        Some(IgnoredFile { path, last, why }) => {
            let up_to = match last == cwd {
                true => String::new(),
                false => format!(" or up to {}", last.display()),
            };
            let path = quote(&path.to_string_lossy());
            (
                format!("no {CONFIG_FILE} found in {dir}{up_to}; the search ends there: {why}"),
                format!("to use {path}, read it and give it with -f; or "),
            )
        }
    };
    let mut importable = STACK_FILES.iter().map(|(file, _)| file).chain(&MANIFESTS);
    let importable = importable.find(|file| cwd.join(file).is_file());
    if let (Some(file), true) = (importable, first.is_empty()) {
        let help =
            format!("run `devstack init` to write one from {file}, or give another file with -f");
        return DiagnosticBuilder::at(None, text).help(help);
    }
    let help = format!(
        "{first}create one, or give another file with -f; a minimal {CONFIG_FILE}:\n[services.web]\ncommand = \"…\"\nport = 3000",
    );
    DiagnosticBuilder::at(None, text).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_init_reads_is_named_in_the_help() {
        let stack_files = STACK_FILES.map(|(file, _)| file);
        for file in stack_files.iter().chain(&MANIFESTS) {
            let place = tempfile::tempdir().unwrap();
            fs::write(place.path().join(file), "").unwrap();
            let help = not_found(place.path(), None).message.help;
            assert!(help.starts_with(&format!("run `devstack init` to write one from {file},")));
        }
    }

    #[test]
    fn a_directory_is_no_configuration() {
        let place = tempfile::tempdir().unwrap();
        let below = place.path().join("below");
        fs::create_dir_all(below.join("Procfile")).unwrap();
        fs::write(place.path().join(CONFIG_FILE), "").unwrap();
        assert_eq!(search(&below, None).ok().unwrap().path, place.path().join(CONFIG_FILE));
    }

    #[test]
    fn the_search_ends_at_a_directory_that_cannot_be_read() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(CONFIG_FILE), "").unwrap();
        let below = place.path().join("below");
        let found = search(&below, None).err().flatten().unwrap();
        assert_eq!(found.path, place.path().join(CONFIG_FILE));
        assert_eq!(found.why, "a directory cannot be read");
        fs::create_dir(&below).unwrap();
        assert_eq!(search(&below, None).ok().unwrap().path, found.path);
    }
}
