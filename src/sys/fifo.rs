use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Creates a named pipe; rustix has no call for it that exists on macOS too.
pub(crate) fn make_fifo(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).expect("paths contain no NUL");
    // SAFETY: the string ends with NUL and outlives the call.
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o700) };
    assert_eq!(made, 0, "mkfifo {}: {}", path.display(), std::io::Error::last_os_error());
}
