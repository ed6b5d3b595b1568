use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// As the C library searches when there is no PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Why a word does not name a program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProgramError {
    /// Not found at these paths.
    Missing(Vec<PathBuf>),
    NotExecutable(PathBuf),
    Directory(PathBuf),
}

/// Finds the program that a word names: on the service's PATH, or relative to its directory if the
/// word has a slash. Only reads the file system.
pub(super) fn find_program(
    word: &str,
    dir: &Path,
    path: Option<&OsStr>,
) -> Result<PathBuf, ProgramError> {
    if word.contains('/') {
        // Drops `.` components, for messages.
        return check_program(dir.join(word).components().collect());
    }
    let mut plain = None;
    let mut tried = Vec::new();
    for directory in path.unwrap_or(OsStr::new(DEFAULT_PATH)).as_bytes().split(|byte| *byte == b':')
    {
        match check_program(dir.join(OsStr::from_bytes(directory)).join(word)) {
            Ok(file) => return Ok(file),
            Err(ProgramError::NotExecutable(file)) => plain = plain.or(Some(file)),
            Err(ProgramError::Directory(file)) => tried.push(file),
            Err(ProgramError::Missing(files)) => tried.extend(files),
        }
    }
    Err(plain.map_or(ProgramError::Missing(tried), ProgramError::NotExecutable))
}

fn check_program(file: PathBuf) -> Result<PathBuf, ProgramError> {
    match file.metadata() {
        Ok(facts) if facts.is_dir() => Err(ProgramError::Directory(file)),
        Ok(facts) if facts.mode() & 0o111 != 0 => Ok(file),
        Ok(_) => Err(ProgramError::NotExecutable(file)),
        // Unreadable counts as missing; if the word has a slash, the exec reports the reason.
        Err(_) => Err(ProgramError::Missing(vec![file])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn file(at: PathBuf, mode: u32) -> PathBuf {
        fs::create_dir_all(at.parent().expect("has a parent")).expect("writable");
        fs::write(&at, "").expect("writable");
        fs::set_permissions(&at, fs::Permissions::from_mode(mode)).expect("our file");
        at
    }

    #[test]
    fn the_first_executable_on_the_path_is_taken() {
        let root = tempfile::tempdir().expect("temp dir");
        let at = |name: &str| root.path().join(name);
        let plain = file(at("a/tool"), 0o644);
        fs::create_dir_all(at("b/tool")).expect("writable");
        let tool = file(at("c/tool"), 0o755);
        let path =
            |names: &[&str]| std::env::join_paths(names.iter().map(|n| at(n))).expect("no colon");
        let find = |word: &str, names: &[&str]| find_program(word, root.path(), Some(&path(names)));
        assert_eq!(find("tool", &["a", "b", "c"]), Ok(tool.clone()));
        assert_eq!(find("tool", &["a", "b"]), Err(ProgramError::NotExecutable(plain)));
        assert_eq!(find("tool", &["b"]), Err(ProgramError::Missing(vec![at("b/tool")])));
        // PATH entries are relative to the service's directory; an empty one is that directory.
        assert_eq!(find_program("tool", root.path(), Some(OsStr::new("c"))), Ok(tool.clone()));
        assert_eq!(find_program("tool", &at("c"), Some(OsStr::new("/nowhere:"))), Ok(tool));
    }

    #[test]
    fn a_slash_means_from_the_directory_of_the_service() {
        let root = tempfile::tempdir().expect("temp dir");
        let tool = file(root.path().join("bin/tool"), 0o755);
        assert_eq!(find_program("bin/tool", root.path(), None), Ok(tool.clone()));
        assert_eq!(
            find_program("./tool", &root.path().join("bin"), None),
            Ok(root.path().join("bin/./tool"))
        );
        assert_eq!(find_program(tool.to_str().expect("UTF-8"), Path::new("/"), None), Ok(tool));
        assert_eq!(
            find_program("./bin", root.path(), None),
            Err(ProgramError::Directory(root.path().join("./bin")))
        );
        assert_eq!(
            find_program("./x", root.path(), None),
            Err(ProgramError::Missing(vec![root.path().join("./x")]))
        );
    }
}
