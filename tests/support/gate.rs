use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Holds a program back until the test says go: a fifo whose reader sleeps in `open` until there is a writer.
/// Programs pass it with `misbehave gate FILE`, `say --after-gate FILE`, `listen --after-gate FILE`, or `: < FILE`
/// in a shell.
pub struct Gate {
    path: PathBuf,
    writer: Option<File>,
}

impl Gate {
    pub(super) fn new(path: PathBuf) -> Gate {
        let name = CString::new(path.as_os_str().as_bytes()).expect("paths hold no NUL");
        // SAFETY: the string ends in NUL and lives through the call.
        let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
        assert_eq!(made, 0, "mkfifo {}: {}", path.display(), std::io::Error::last_os_error());
        Gate { path, writer: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets everybody pass, now and later.
    pub fn open(&mut self) {
        // For reading too, so that opening does not wait for a reader.
        let writer = OpenOptions::new().read(true).write(true).open(&self.path);
        self.writer = Some(writer.expect("the fifo is ours"));
    }

    /// Holds those back who come later.
    pub fn shut(&mut self) {
        self.writer = None;
    }
}
