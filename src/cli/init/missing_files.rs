use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::import::{ImportNote, ImportedStack};
use crate::regular_file::open_linked;
use crate::text::quote;

/// Changes references to what `dir` does not have, with a note for each: with them, `devstack.toml`
/// would not be valid. `file` is what was read.
pub(super) fn settle_missing_files(stack: &mut ImportedStack, dir: &Path, file: &str) {
    let notes = &mut stack.notes;
    let mut note = |subject: &str, text: String| {
        let (file, subject) = (file.to_owned(), subject.to_owned());
        notes.push(ImportNote { file, line: None, subject, text });
    };
    stack.env_files.retain_mut(|wanted| settle_env_file(wanted, dir, |text| note("stack", text)));
    for service in &mut stack.services {
        let subject = format!("services.{}", service.name);
        if !dir.join(&service.dir).is_dir() {
            let missing = std::mem::take(&mut service.dir);
            let missing = quote(&missing.to_string_lossy());
            let text = format!("`dir` is left out: no such directory: {missing}");
            service.comments.push(format!("Its directory {missing} was missing."));
            note(&subject, text);
        }
        let files = &mut service.env_files;
        files.retain_mut(|wanted| settle_env_file(wanted, dir, |text| note(&subject, text)));
    }
}

/// Makes a missing env file optional. Returns whether the file can be kept.
fn settle_env_file(
    (path, optional): &mut (PathBuf, bool),
    dir: &Path,
    note: impl FnOnce(String),
) -> bool {
    let Err(error) = open_linked(&dir.join(&*path)) else { return true };
    let shown = quote(&path.to_string_lossy());
    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
        if !*optional {
            *optional = true;
            note(format!("the env file {shown} is missing, so it is optional"));
        }
        return true;
    }
    note(format!("the env file {shown} is not carried over: {error}"));
    false
}
