//! Finds out what a directory has to start, by the files that frameworks and package managers have.
//! Reads a bounded number of files, and never runs a program.

mod compiled;
mod declared_port;
mod node;
mod package_json;
mod project_files;
mod python;
mod ruby_php;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{
    ImportNote, ImportedCommand, ImportedProbe, ImportedService, ImportedStack, NEED_NOT_LISTEN,
    ProbeTest,
};
use crate::config::{ImportTrust, MANIFESTS};
use crate::model::{Name, UniqueNames};
use project_files::ProjectFiles;

/// How many directories are looked at.
const MAX_DIRECTORIES: usize = 200;

/// Directories of a project that hold several programs.
const COLLECTIONS: [&str; 5] = ["apps", "examples", "packages", "projects", "services"];

/// Finds what the directory `root` and those below it have to start. Empty if nothing is known. A
/// file that `trust` refuses counts as absent.
pub fn detect_stack(root: &Path, trust: &ImportTrust) -> ImportedStack {
    let files = ProjectFiles::of(root, trust);
    let mut found = Detection::default();
    found.look_into(Path::new(""), &files);
    let mut below = found.members.clone();
    for dir in files.directories("") {
        match dir.to_str().is_some_and(|name| COLLECTIONS.contains(&name))
            && !has_manifest(&dir, &files)
        {
            // Examples are not the project.
            true if dir.ends_with("examples") => {}
            true => below.extend(files.directories(&dir)),
            false => below.push(dir),
        }
    }
    let mut seen = BTreeSet::from([PathBuf::new()]);
    below.retain(|dir| seen.insert(dir.clone()));
    if below.len() > MAX_DIRECTORIES {
        found.note(
            ".",
            format!("only the first {MAX_DIRECTORIES} of {} directories were read", below.len()),
        );
    }
    for dir in below.iter().take(MAX_DIRECTORIES) {
        if has_manifest(dir, &files) {
            found.look_into(dir, &files);
        }
    }
    if found.services.is_empty() {
        found.services.extend(found.fallback.take());
    }
    if found.services.is_empty() && files.has("index.html") {
        let mut service = found_service(Path::new(""), "web", "index.html");
        service.preset = Some("static".to_owned());
        found.services.push(service);
    }
    found.finish(root)
}

/// Whether a directory below the root is a project of its own: it says what it needs.
fn has_manifest(dir: &Path, files: &ProjectFiles<'_>) -> bool {
    let more = ["requirements.txt", "Pipfile"];
    let alone = |name: &&&str| {
        !matches!(**name, "app.py" | "wsgi.py" | "asgi.py" | "main.py" | "index.html")
    };
    MANIFESTS.iter().filter(alone).chain(&more).any(|name| files.has(dir.join(name)))
}

/// What was found so far.
#[derive(Debug, Default)]
struct Detection {
    /// Not yet with their final names.
    services: Vec<ImportedService>,
    notes: Vec<ImportNote>,
    /// Packages of workspaces, which are looked at as well.
    members: Vec<PathBuf>,
    /// Starts all packages of a workspace, if none of them is known.
    fallback: Option<ImportedService>,
}

impl Detection {
    /// Adds what a directory has, at most one of each language.
    fn look_into(&mut self, dir: &Path, files: &ProjectFiles<'_>) {
        let before = self.services.len();
        python::detect(dir, files, self);
        ruby_php::detect_ruby(dir, files, self);
        ruby_php::detect_php(dir, files, self);
        compiled::detect_go(dir, files, self);
        compiled::detect_cargo(dir, files, self);
        compiled::detect_jvm(dir, files, self);
        // Such a program has a package.json for its pages: what builds them runs beside it.
        let is_beside = self.services.len() > before;
        node::detect(dir, files, is_beside, self);
    }

    fn note(&mut self, subject: impl Into<String>, text: impl Into<String>) {
        let (file, subject, text) = (subject.into(), String::new(), text.into());
        self.notes.push(ImportNote { file, line: None, subject, text });
    }

    /// Gives the services names of their own and, where several prefer one port, ports of their own.
    fn finish(self, root: &Path) -> ImportedStack {
        let mut names = UniqueNames::default();
        let other = Name::new("app").expect("a valid name");
        let dir_name = root.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut services = self.services;
        let mut ports = BTreeSet::new();
        // What a service depends on stands before it.
        let mut named: Vec<(String, String)> = Vec::new();
        for service in &mut services {
            for (need, _) in &mut service.depends_on {
                let last = named.iter().rev().find(|(found, _)| found == need);
                last.into_iter().for_each(|(_, name)| need.clone_from(name));
            }
            let found = service.name.clone();
            if service.name.is_empty() {
                service.name = dir_name.clone().unwrap_or_default();
            }
            service.name = names.take(&service.name, &other).to_string();
            named.push((found, service.name.clone()));
            if let Some(mut port) = usual_port(service).filter(|port| !ports.insert(*port)) {
                while !ports.insert(port) {
                    port += 1;
                }
                service.port = Some(port);
            }
        }
        ImportedStack { services, notes: self.notes, ..ImportedStack::default() }
    }
}

/// Returns the preferred port of a service: its own, or its preset's.
fn usual_port(service: &ImportedService) -> Option<u16> {
    service.port.or_else(|| {
        let preset = crate::presets::find(service.preset.as_deref()?)?;
        preset.outline().port()
    })
}

/// Makes a service prefer a port that `file` gives it, unless its preset does.
fn prefer(service: &mut ImportedService, port: u16, file: &str) {
    let is_usual = service.port.is_none() && usual_port(service) == Some(port);
    if !is_usual {
        service.port = Some(port);
        let path = service.dir.join(file).display().to_string();
        if !service.comments.iter().any(|comment| comment.contains(&path)) {
            service.comments.push(format!("Its port is from {path}."));
        }
    }
}

/// A service of this directory. `why` says what it was found by.
fn found_service(dir: &Path, name: &str, why: &str) -> ImportedService {
    let place = dir.join(why);
    ImportedService {
        name: dir.file_name().map_or(name.to_owned(), |name| name.to_string_lossy().into_owned()),
        comments: vec![format!("Detected from {}.", place.display())],
        dir: dir.to_owned(),
        ..ImportedService::default()
    }
}

/// Whether `text` has `word` as a whole word, such as the name of a package.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

/// Returns the directories that a pattern of workspaces names: `web`, `packages/*`, `packages/**`.
fn expand_member(dir: &Path, pattern: &str, files: &ProjectFiles<'_>) -> Vec<PathBuf> {
    let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
    let is_outside = |path: &str| path.split('/').any(|part| part == "..") || path.starts_with('/');
    match pattern.strip_suffix("/**").or_else(|| pattern.strip_suffix("/*")) {
        _ if is_outside(pattern) => Vec::new(),
        Some(parent) => files.directories(dir.join(parent)),
        None if pattern == "*" || pattern == "**" => files.directories(dir),
        None => vec![dir.join(pattern)],
    }
}
