use std::fs;
use std::path::{Path, PathBuf};

use super::missing_files::settle_missing_files;
use super::venv_path::use_venvs;
use crate::cli::render::CommandError;
use crate::config::{ImportTrust, MANIFESTS, STACK_FILES, StackFormat, is_procfile};
use crate::import::{
    ImportedStack, detect_stack, read_compose, read_mprocs, read_process_compose,
    read_procfile_stack,
};
use crate::model::{Message, MessageClass};
use crate::regular_file::{self, open_linked};
use crate::text::quote;

/// Largest file to read: far above any that a person writes.
const MAX_BYTES: u64 = 1024 * 1024;

/// What `devstack init` reads.
#[derive(Debug)]
pub(super) struct ImportSource {
    what: SourceKind,
    /// Other files in the directory that could be read instead.
    others: Vec<&'static str>,
}

#[derive(Debug)]
enum SourceKind {
    /// A file that lists services. The path is relative to the directory of `devstack.toml`.
    File(PathBuf, String, StackFormat),
    /// What frameworks and package managers have in the directory.
    Directory,
}

impl ImportSource {
    /// Finds what a directory has. `None` if nothing in it is known, or may be used.
    pub fn find(dir: &Path, trust: &ImportTrust) -> Option<ImportSource> {
        let mut found = STACK_FILES.iter().filter(|(file, _)| dir.join(file).is_file());
        if let Some((file, format)) = found.next() {
            let what = SourceKind::File(file.into(), (*file).to_owned(), *format);
            return Some(ImportSource { what, others: found.map(|(file, _)| *file).collect() });
        }
        let what = SourceKind::Directory;
        (!detect_stack(dir, trust).services.is_empty())
            .then_some(ImportSource { what, others: Vec::new() })
    }

    /// Uses a file that the user named, or the directory.
    ///
    /// # Errors
    /// It is none of those that can be read.
    pub fn named(dir: &Path, path: &Path) -> Result<ImportSource, Message> {
        let shown = path.display().to_string();
        let full = dir.join(path);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let in_dir = full.parent().and_then(|parent| fs::canonicalize(parent).ok())
            == fs::canonicalize(dir).ok();
        if full.is_dir() && fs::canonicalize(&full).ok() == fs::canonicalize(dir).ok()
            || in_dir && MANIFESTS.contains(&name.as_str())
        {
            return Ok(ImportSource { what: SourceKind::Directory, others: Vec::new() });
        }
        let known = STACK_FILES.iter().find(|(file, _)| *file == name).map(|(_, format)| *format);
        let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
        let format = match known {
            Some(format) => format,
            None if is_procfile(path) => StackFormat::Procfile,
            None if is_yaml && name.contains("process-compose") => StackFormat::ProcessCompose,
            None if is_yaml && name.contains("mprocs") => StackFormat::Mprocs,
            None if is_yaml => StackFormat::Compose,
            None => {
                let text = format!("cannot read {}: unknown kind of file", quote(&shown));
                let help = "use a Procfile, a Compose, process-compose or mprocs file, or `.` for this directory";
                return Err(Message::new(MessageClass::Usage, text).help(help));
            }
        };
        Ok(ImportSource {
            what: SourceKind::File(path.to_owned(), shown, format),
            others: Vec::new(),
        })
    }

    /// Returns its name for the user.
    pub fn name(&self) -> &str {
        match &self.what {
            SourceKind::File(_, shown, _) => shown,
            SourceKind::Directory => "the files of this directory",
        }
    }

    /// Returns other files that could be read instead.
    pub fn others(&self) -> &[&'static str] {
        &self.others
    }

    /// Reads it as a stack whose `devstack.toml` is in `dir`.
    ///
    /// # Errors
    /// It cannot be read or may not be used, or what is wrong in it.
    pub fn read(&self, dir: &Path, trust: &ImportTrust) -> Result<ImportedStack, CommandError> {
        let stack = self.read_allowed(dir, trust);
        trust.finish()?;
        let mut stack = stack?;
        if let SourceKind::File(path, ..) = &self.what
            && let Some(below) = path.strip_prefix(dir).unwrap_or(path).parent()
        {
            stack.prefix_paths(below);
        }
        settle_missing_files(&mut stack, dir, self.name());
        use_venvs(&mut stack, dir);
        Ok(stack)
    }

    fn read_allowed(&self, dir: &Path, trust: &ImportTrust) -> Result<ImportedStack, CommandError> {
        let SourceKind::File(path, shown, format) = &self.what else {
            return Ok(detect_stack(dir, trust));
        };
        let full = dir.join(path);
        let read_text = |path: &Path| match trust.allows(path) {
            true => read_text(path),
            false => Err("it belongs to another user".to_owned()),
        };
        let text = read_text(&full).map_err(|why| {
            let text = format!("cannot read {}: {why}", quote(shown));
            Message::new(MessageClass::Usage, text).help("name a readable file with `--from`")
        })?;
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Ok(match format {
            StackFormat::Procfile => read_procfile_stack(text, shown)?,
            StackFormat::ProcessCompose => read_process_compose(&text, shown)?,
            StackFormat::Mprocs => read_mprocs(&text, shown)?,
            StackFormat::Compose => {
                let beside = full.parent().unwrap_or(dir).to_owned();
                read_compose(&text, shown, &|file| read_text(&beside.join(file)).ok())?
            }
        })
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let text = open_linked(path).and_then(|file| regular_file::read_text(file, MAX_BYTES));
    text.map_err(|error| error.to_string())
}
