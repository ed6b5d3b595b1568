use std::fs::{self};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::atomic_file::{PRIVATE, create_anew};
use crate::regular_file::{open_regular, random_bytes};

const FILE: &str = "dashboard.token";

/// Random bytes of a token; it is written in hexadecimal digits.
const BYTES: usize = 32;

/// What a browser must know to use the dashboard: only processes of the user can
/// read it.
#[derive(Clone, PartialEq, Eq)]
pub struct DashboardToken(String);

impl DashboardToken {
    /// Returns the token of this user, from the runtime directory; the first call creates it.
    ///
    /// # Errors
    /// The file cannot be used, or others may have read it.
    pub fn in_dir(runtime: &Path) -> io::Result<DashboardToken> {
        let path = runtime.join(FILE);
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(&path)?;
                read(&path)
            }
            result => result,
        }
    }

    /// Returns a token that is in no file.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn random() -> io::Result<DashboardToken> {
        let bytes = random_bytes::<BYTES>()?;
        Ok(DashboardToken(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Returns its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares it in a time that does not depend on where the difference is.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let difference = own.iter().zip(given).fold(0, |seen, (one, other)| seen | (one ^ other));
        given.len() == own.len() && black_box(difference) == 0
    }
}

/// It must not get into a log.
impl std::fmt::Debug for DashboardToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DashboardToken(…)")
    }
}

fn read(path: &Path) -> io::Result<DashboardToken> {
    let file = open_regular(path)?;
    let data = file.metadata()?;
    let is_private = data.is_file()
        && data.uid() == rustix::process::geteuid().as_raw()
        && data.mode() & 0o077 == 0;
    let mut text = String::new();
    file.take(2 * BYTES as u64 + 1).read_to_string(&mut text)?;
    let is_token = text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_private && is_token {
        return Ok(DashboardToken(text));
    }
    let text = format!("{} is not a private file with a token: remove it", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// Creates the file with its content at once: of two processes, one wins and the other reads.
fn create(path: &Path) -> io::Result<()> {
    let new: PathBuf = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = create_anew(&new, PRIVATE)?;
    let written = DashboardToken::random().and_then(|token| file.write_all(token.0.as_bytes()));
    let linked = written.and_then(|()| fs::hard_link(&new, path));
    fs::remove_file(&new)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn it_is_random_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let token = DashboardToken::in_dir(dir.path()).unwrap();
        assert_eq!(token.as_str().len(), 64);
        assert_eq!(DashboardToken::in_dir(dir.path()).unwrap(), token);
        assert_ne!(DashboardToken::random().unwrap(), token);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{token:?}").contains(token.as_str()));
    }

    #[test]
    fn only_the_same_token_is_equal() {
        let token = DashboardToken("ab".repeat(BYTES));
        assert!(token.is(token.as_str().as_bytes()));
        for other in
            [String::new(), "ab".repeat(BYTES - 1), "ab".repeat(BYTES) + "a", "ba".repeat(BYTES)]
        {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_file_that_others_may_know_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let other = dir.path().join("other");
        fs::write(&other, "ab".repeat(BYTES)).unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&other, &path).unwrap();
        assert!(DashboardToken::in_dir(dir.path()).is_err());
        fs::rename(&other, &path).unwrap();
        assert!(DashboardToken::in_dir(dir.path()).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(DashboardToken::in_dir(dir.path()).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(DashboardToken::in_dir(dir.path()).is_err());
    }
}
