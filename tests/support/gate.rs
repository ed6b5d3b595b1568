use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Holds a program back until the test opens the gate: a FIFO whose reader blocks in `open` until
/// there is a writer. Programs wait with `misbehave gate FILE`, `say --after-gate FILE`, `listen
/// --after-gate FILE`, or `: < FILE` in a shell.
pub struct FifoGate {
    path: PathBuf,
    writer: Option<File>,
}

impl FifoGate {
    pub(super) fn new(path: PathBuf) -> FifoGate {
        make_fifo(&path);
        FifoGate { path, writer: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets all programs pass, now and later.
    pub fn open(&mut self) {
        // Also for reading, so that opening does not wait for a reader.
        let writer = OpenOptions::new().read(true).write(true).open(&self.path);
        self.writer = Some(writer.expect("the fifo is ours"));
    }

    /// Holds back programs that come later.
    pub fn shut(&mut self) {
        self.writer = None;
    }
}

/// Creates a named pipe.
pub fn make_fifo(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).expect("paths contain no NUL");
    // SAFETY: the string is NUL-terminated and outlives the call.
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    assert_eq!(made, 0, "mkfifo {}: {}", path.display(), std::io::Error::last_os_error());
}
