use std::ffi::{CStr, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::process;

/// What to execute, and with what.
pub(crate) struct ExecImage<'a> {
    /// Working directory, for the caller to change to.
    pub dir: &'a CStr,
    pub program: &'a CStr,
    /// The arguments, from the zeroth on.
    pub words: Vec<&'a CStr>,
    pub env: Vec<&'a CStr>,
}

/// Returns the list that C functions expect, valid as long as the strings are.
pub(super) fn null_terminated(list: &[&CStr]) -> Vec<*mut c_char> {
    let pointers = list.iter().map(|text| text.as_ptr().cast_mut());
    pointers.chain([std::ptr::null_mut()]).collect()
}

/// Starts a program in a session of its own, with default signals, an empty mask and three
/// descriptors: 0 is inherited, 1 and 2 are given; or all three are the terminal at this path,
/// which becomes that of the session. The working directory is inherited. Never copies the process:
/// `posix_spawn` shares memory until the exec. The error is that of the exec.
pub(crate) fn posix_spawn(
    image: &ExecImage<'_>,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
    terminal: Option<&CStr>,
) -> io::Result<u32> {
    let mut actions = FileActions::new()?;
    match terminal {
        Some(path) => {
            actions.open(0, path)?;
            actions.duplicate(0, 1)?;
            actions.duplicate(0, 2)?;
        }
        None => {
            // Descriptor 0 onto itself: on macOS only descriptors that are named survive the exec.
            actions.duplicate(0, 0)?;
            actions.duplicate(stdout.as_raw_fd(), 1)?;
            actions.duplicate(stderr.as_raw_fd(), 2)?;
        }
    }
    let attributes = SpawnAttributes::new()?;
    let (words, env) = (null_terminated(&image.words), null_terminated(&image.env));
    let mut pid: libc::pid_t = 0;
    // SAFETY: all pointers are valid for the call; lists end with null and their strings with NUL.
    let code = unsafe {
        libc::posix_spawn(
            &mut pid,
            image.program.as_ptr(),
            &actions.0,
            &attributes.0,
            words.as_ptr(),
            env.as_ptr(),
        )
    };
    to_result(code)?;
    Ok(pid.cast_unsigned())
}

/// The functions of this family return their error instead of setting `errno`.
fn to_result(code: libc::c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<FileActions> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: initialized by the call, and only used when it succeeded.
        unsafe {
            to_result(libc::posix_spawn_file_actions_init(raw.as_mut_ptr()))?;
            Ok(FileActions(raw.assume_init()))
        }
    }

    fn duplicate(&mut self, from: RawFd, to: RawFd) -> io::Result<()> {
        // SAFETY: an initialized structure and numbers.
        to_result(unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, from, to) })
    }

    /// Without `O_NOCTTY`: a new session leader gets its controlling terminal by opening one.
    fn open(&mut self, fd: RawFd, path: &CStr) -> io::Result<()> {
        let flags = libc::O_RDWR;
        // SAFETY: an initialized structure, numbers and a NUL-terminated string, which is copied.
        to_result(unsafe {
            libc::posix_spawn_file_actions_addopen(&mut self.0, fd, path.as_ptr(), flags, 0)
        })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialized by `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

struct SpawnAttributes(libc::posix_spawnattr_t);

impl SpawnAttributes {
    fn new() -> io::Result<SpawnAttributes> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: initialized by the call, and only used when it succeeded.
        let mut attributes = unsafe {
            to_result(libc::posix_spawnattr_init(raw.as_mut_ptr()))?;
            SpawnAttributes(raw.assume_init())
        };
        let mut set = MaybeUninit::uninit();
        // SAFETY: the set is initialized by sigemptyset or by its bits before it is read.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            to_result(libc::posix_spawnattr_setsigmask(&mut attributes.0, set.as_ptr()))?;
            // Every bit: sigfillset leaves out two signals that glibc uses itself, and glibc's
            // posix_spawn would then leave those ignored in the service.
            set.as_mut_ptr().write_bytes(0xff, 1);
            // These two can only have the default disposition.
            libc::sigdelset(set.as_mut_ptr(), libc::SIGKILL);
            libc::sigdelset(set.as_mut_ptr(), libc::SIGSTOP);
            to_result(libc::posix_spawnattr_setsigdefault(&mut attributes.0, set.as_ptr()))?;
            let flags = process::SPAWN_FLAGS as libc::c_short;
            to_result(libc::posix_spawnattr_setflags(&mut attributes.0, flags))?;
        }
        Ok(attributes)
    }
}

impl Drop for SpawnAttributes {
    fn drop(&mut self) {
        // SAFETY: initialized by `new`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}
