use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use super::file_trust::{DirAccess, FileDiscovery, TrustedUsers, Verdict, judge};
use super::quote;
use super::read_file::file_owners;
use crate::config::ConfigSources;
use crate::model::{CONFIG_FILE, Message, MessageClass};

/// Decides which files a configuration is written from. They say what is run, so the rules are those
/// for a configuration in the same directory.
#[derive(Debug)]
pub struct ImportTrust {
    root: PathBuf,
    trusted: TrustedUsers,
    refused: RefCell<Option<ForeignFile>>,
}

/// A file of another user.
#[derive(Debug)]
struct ForeignFile {
    path: PathBuf,
    owner: u32,
}

impl ImportTrust {
    /// The configuration is written in the directory `sources.cwd`.
    pub fn new(sources: &ConfigSources) -> ImportTrust {
        let trusted = TrustedUsers::new(sources);
        ImportTrust { root: sources.cwd.clone(), trusted, refused: RefCell::new(None) }
    }

    /// Trusts the owner of a file that the user named, like the file of `-f`.
    #[must_use]
    pub fn with_named(mut self, path: &Path) -> ImportTrust {
        let path = self.root.join(path);
        if path.is_file()
            && let Ok(owners) = file_owners(&path)
        {
            self.trusted.add(&owners);
        }
        self
    }

    /// Whether a file may be used. The first one that may not is reported by [`Self::finish`].
    pub fn allows(&self, path: &Path) -> bool {
        // What cannot be read is reported when it is read.
        let Ok(owners) = file_owners(path) else { return true };
        let here = path.parent().unwrap_or(&self.root);
        let above = here.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.root));
        let owner = std::iter::once(here).chain(above).find_map(|dir| {
            let access = DirAccess::of(&fs::metadata(dir).ok()?);
            match judge(&owners, &FileDiscovery::Here(access), &self.trusted) {
                Verdict::Obeyed | Verdict::Noted(_) => None,
                Verdict::Refused(owner) | Verdict::RefusedInOpenDir(owner) => Some(owner),
            }
        });
        let Some(owner) = owner else { return true };
        let mut refused = self.refused.borrow_mut();
        refused.get_or_insert_with(|| ForeignFile { path: path.to_owned(), owner });
        false
    }

    /// Reports a file that may not be used.
    ///
    /// # Errors
    /// There was one.
    pub fn finish(&self) -> Result<(), Message> {
        let refused = self.refused.borrow();
        let Some(ForeignFile { path, owner }) = &*refused else { return Ok(()) };
        let path = quote(&path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy());
        let text = format!(
            "cannot write {CONFIG_FILE} from {path}: it is owned by user {owner}, not by you"
        );
        let help = "it can run any command as you: read it, then name it with `--from`, or use your own copy";
        Err(Message::new(MessageClass::Config, text).help(help))
    }
}
