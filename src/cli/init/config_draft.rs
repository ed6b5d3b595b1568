use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::atomic_file::{self, USUAL};
use crate::cli::context;
use crate::cli::render::CommandError;
use crate::config::{self, ConfigOverrides};
use crate::exit_code::ExitCode;
use crate::model::{CONFIG_FILE, Message, MessageClass};
use crate::regular_file::{open_regular, read_text};

/// Largest file that this process has written, in bytes.
const MAX_OWN: u64 = 16 * 1024 * 1024;

/// How many previous files are kept.
const MAX_BACKUPS: usize = 100;

/// A complete and valid `devstack.toml` beside its place. Removed unless it is installed.
#[derive(Debug)]
pub(super) struct ConfigDraft {
    path: PathBuf,
    target: PathBuf,
}

impl ConfigDraft {
    /// Writes a draft and loads it as devstack does.
    ///
    /// # Errors
    /// It cannot be written; the files beside it are not valid; or the text is not.
    pub fn checked(dir: &Path, text: &str) -> Result<ConfigDraft, CommandError> {
        let name = format!(".{CONFIG_FILE}.{}.new", std::process::id());
        let draft = ConfigDraft { path: dir.join(&name), target: dir.join(CONFIG_FILE) };
        atomic_file::replace(&draft.path, USUAL, |file| file.write_all(text.as_bytes()))
            .map_err(|error| disk_error("write", &draft.target, &error))?;
        let sources = context::sources(vec![draft.path.clone()], ConfigOverrides::default())?;
        let Err(list) = config::load(&sources) else { return Ok(draft) };
        let is_ours =
            |error: &config::Diagnostic| error.location().is_some_and(|(file, ..)| file == name);
        if !list.list().iter().any(is_ours) {
            // What is beside it, such as .env, has to be fixed first.
            return Err(list.into());
        }
        let first = list.summary().text;
        let text = format!("the {CONFIG_FILE} to be written is not valid: {first}");
        let help =
            "nothing was written; fix this in the file that was read, or report it with that file";
        Err(Message::new(MessageClass::Config, text).help(help).into())
    }

    /// Puts the draft in its place. With `replace`, an existing file is kept under another name,
    /// which is returned.
    ///
    /// # Errors
    /// There is a file and `replace` is not set, or the system refuses.
    pub fn install(self, replace: bool) -> Result<Option<PathBuf>, CommandError> {
        let backup = if replace { self.set_aside()? } else { None };
        match link_new(&self.path, &self.target) {
            Ok(()) => Ok(backup),
            Err(error) => {
                if let Some(backup) = &backup {
                    // Its place is still free, or has another file that must stay.
                    let _ = link_new(backup, &self.target);
                }
                Err(disk_error("write", &self.target, &error).into())
            }
        }
    }

    /// Replaces the text of a file that this process has installed, if it is still the same.
    ///
    /// # Errors
    /// The system refuses, or the file was edited meanwhile.
    pub fn replace_own(self, before: &str) -> Result<(), CommandError> {
        let found = open_regular(&self.target).and_then(|file| read_text(file, MAX_OWN));
        if found.ok().as_deref() != Some(before) {
            let text = format!("{CONFIG_FILE} was edited meanwhile, so it was not corrected");
            let help = "run `devstack up` to start it as it is";
            return Err(CommandError::new(
                Message::new(MessageClass::Busy, text).help(help),
                ExitCode::FAILED,
            ));
        }
        fs::rename(&self.path, &self.target)
            .map_err(|error| disk_error("write", &self.target, &error).into())
    }

    /// Renames the existing file, if there is one, to the first free name.
    fn set_aside(&self) -> Result<Option<PathBuf>, CommandError> {
        if self.target.symlink_metadata().is_err() {
            return Ok(None);
        }
        let numbered = (2..=MAX_BACKUPS).map(|number| format!("{CONFIG_FILE}.bak{number}"));
        let names = std::iter::once(format!("{CONFIG_FILE}.bak")).chain(numbered);
        let mut paths = names.map(|name| self.target.with_file_name(name));
        let Some(free) = paths.find(|path| path.symlink_metadata().is_err()) else {
            let text =
                format!("there are already {MAX_BACKUPS} previous files beside {CONFIG_FILE}");
            let help = format!("remove some of {CONFIG_FILE}.bak, {CONFIG_FILE}.bak2, …");
            return Err(CommandError::new(
                Message::new(MessageClass::Disk, text).help(help),
                ExitCode::FAILED,
            ));
        };
        fs::rename(&self.target, &free)
            .map_err(|error| disk_error("rename", &self.target, &error))?;
        Ok(Some(PathBuf::from(free.file_name().unwrap_or_default())))
    }
}

impl Drop for ConfigDraft {
    fn drop(&mut self) {
        // After a rename, it is gone already.
        let _ = fs::remove_file(&self.path);
    }
}

/// Gives a file a second name, unless that exists. Some file systems know no second names.
fn link_new(path: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(path, target) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            if target.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(path, target)
        }
        linked => linked,
    }
}

fn disk_error(what: &str, path: &Path, error: &io::Error) -> Message {
    let text = format!("cannot {what} {}: {error}", path.display());
    Message::new(MessageClass::Disk, text)
        .help("make the directory writable and free space on the disk")
}
