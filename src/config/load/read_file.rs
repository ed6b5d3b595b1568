//! Reads configuration and env files safely.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::regular_file::open_regular;

/// Far above any configuration, and below most devices or logs that are given by mistake.
const MAX_FILE: u64 = 1024 * 1024;

/// As many as Linux follows.
const MAX_LINKS: usize = 40;

#[derive(Debug)]
pub(super) enum ReadFileError {
    Absent,
    NotAFile(&'static str),
    TooLarge,
    NotUtf8 {
        line: usize,
    },
    /// Owned by a user that is not trusted.
    Foreign {
        owner: u32,
    },
    /// The same, of a main file in a parent directory.
    ForeignAbove {
        owner: u32,
    },
    /// The same, of a main file in a directory that others can write.
    ForeignInOpenDir {
        owner: u32,
    },
    Failed(io::Error),
}

impl ReadFileError {
    pub fn text(&self) -> String {
        match self {
            ReadFileError::Absent => "no such file".to_owned(),
            ReadFileError::NotAFile(what) => format!("it is {what}"),
            ReadFileError::TooLarge => "it is larger than 1 MiB".to_owned(),
            ReadFileError::NotUtf8 { line } => format!("line {line} is not UTF-8"),
            ReadFileError::Foreign { owner } => {
                format!("it is owned by user {owner}, not by you or the owner of the configuration")
            }
            ReadFileError::ForeignAbove { owner } => {
                format!("it is owned by user {owner}, not by you")
            }
            ReadFileError::ForeignInOpenDir { owner } => {
                format!("it is owned by user {owner}, and others can write its directory")
            }
            ReadFileError::Failed(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "permission denied".to_owned()
            }
            ReadFileError::Failed(error) => error.to_string(),
        }
    }

    pub fn help(&self) -> &'static str {
        match self {
            ReadFileError::Absent | ReadFileError::NotAFile(_) => {
                "give an existing file, or omit -f to use devstack.toml from this or a parent directory"
            }
            ReadFileError::TooLarge => "check the path: a configuration is a short text file",
            ReadFileError::NotUtf8 { .. } => "save it as UTF-8",
            ReadFileError::Foreign { .. } => COPY,
            ReadFileError::ForeignAbove { .. } | ReadFileError::ForeignInOpenDir { .. } => {
                "it can run any command as you: read it, then give it with -f, or use your own copy"
            }
            ReadFileError::Failed(_) => "make it readable, for example with chmod u+r",
        }
    }

    pub fn include_help(&self) -> &'static str {
        match self {
            ReadFileError::Absent | ReadFileError::NotAFile(_) => {
                "fix the path: it is relative to the directory of this file, and names a file or a directory with a devstack.toml"
            }
            ReadFileError::TooLarge
            | ReadFileError::NotUtf8 { .. }
            | ReadFileError::Foreign { .. }
            | ReadFileError::ForeignAbove { .. }
            | ReadFileError::ForeignInOpenDir { .. }
            | ReadFileError::Failed(_) => self.help(),
        }
    }

    pub fn env_help(&self) -> &'static str {
        match self {
            ReadFileError::Foreign { .. } => COPY,
            ReadFileError::Absent
            | ReadFileError::NotAFile(_)
            | ReadFileError::TooLarge
            | ReadFileError::NotUtf8 { .. }
            | ReadFileError::ForeignAbove { .. }
            | ReadFileError::ForeignInOpenDir { .. }
            | ReadFileError::Failed(_) => {
                "fix the path or the file, or write { path = \"…\", optional = true } if it may be missing"
            }
        }
    }
}

const COPY: &str = "replace it with your own copy";

pub(super) struct FileText {
    pub text: String,
    /// The user IDs of the file and of the links to it.
    pub owners: BTreeSet<u32>,
    /// Whether a link leads out of the directory that the path names.
    pub leads_outside: bool,
}

/// Reads a regular file of at most [`MAX_FILE`] bytes.
pub(super) fn read_text(path: &Path) -> Result<FileText, ReadFileError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadFileError::Absent,
        _ => ReadFileError::Failed(error),
    };
    let (target, mut owners) = follow_links(path).map_err(failed)?;
    // Also checked before it is opened, because to open a device can have effects.
    require_regular_file(&fs::symlink_metadata(&target).map_err(failed)?)?;
    let file = open_regular(&target).map_err(failed)?;
    // Another file may have replaced it.
    let about = file.metadata().map_err(failed)?;
    require_regular_file(&about)?;
    owners.insert(about.uid());
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0) + 1);
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ReadFileError::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        ReadFileError::NotUtf8 { line: good.iter().filter(|&&byte| byte == b'\n').count() + 1 }
    })?;
    let leads_outside = target != path && is_outside(path, &target);
    Ok(FileText { text, owners, leads_outside })
}

/// Returns the user IDs of a file and of the links to it.
///
/// # Errors
/// It does not exist, or its directory cannot be read.
pub(super) fn file_owners(path: &Path) -> io::Result<BTreeSet<u32>> {
    let (target, mut owners) = follow_links(path)?;
    owners.insert(fs::symlink_metadata(target)?.uid());
    Ok(owners)
}

/// Returns what links at this path lead to, and the owners of these links.
fn follow_links(path: &Path) -> io::Result<(PathBuf, BTreeSet<u32>)> {
    let mut target = path.to_owned();
    let mut owners = BTreeSet::new();
    for _ in 0..MAX_LINKS {
        let about = fs::symlink_metadata(&target)?;
        if !about.is_symlink() {
            return Ok((target, owners));
        }
        owners.insert(about.uid());
        let next = fs::read_link(&target)?;
        target = target.parent().unwrap_or(Path::new("/")).join(next);
    }
    Err(io::Error::other("too many links"))
}

fn is_outside(path: &Path, target: &Path) -> bool {
    let dir = path.parent().and_then(|dir| fs::canonicalize(dir).ok());
    let target = fs::canonicalize(target).ok();
    !dir.zip(target).is_some_and(|(dir, target)| target.starts_with(dir))
}

fn require_regular_file(about: &Metadata) -> Result<(), ReadFileError> {
    match about {
        about if about.is_dir() => Err(ReadFileError::NotAFile("a directory")),
        about if !about.is_file() => Err(ReadFileError::NotAFile("not a regular file")),
        about if about.len() > MAX_FILE => Err(ReadFileError::TooLarge),
        _ => Ok(()),
    }
}
