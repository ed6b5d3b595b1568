use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The controller end of a pseudoterminal: where the user types.
pub struct PtyMaster {
    master: OwnedFd,
}

/// What `stty -g` would print, to compare before and after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TtySettings {
    modes: [libc::tcflag_t; 4],
    keys: Vec<libc::cc_t>,
}

impl PtyMaster {
    /// Opens a terminal of this size; returns it and the end for the program.
    pub fn open(rows: u16, columns: u16) -> (PtyMaster, OwnedFd) {
        let (mut master, mut slave) = (-1, -1);
        let mut size = window(rows, columns);
        // SAFETY: all pointers are valid or null, which omits name and settings.
        let opened = unsafe {
            libc::openpty(
                &mut master,
                &mut slave,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                &raw mut size,
            )
        };
        assert_eq!(opened, 0, "openpty: {}", io::Error::last_os_error());
        for fd in [master, slave] {
            // SAFETY: sets a flag of a descriptor just opened.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        // SAFETY: both were just opened and have no other owner.
        unsafe { (PtyMaster { master: OwnedFd::from_raw_fd(master) }, OwnedFd::from_raw_fd(slave)) }
    }

    /// A second descriptor, to read from.
    pub fn reader(&self) -> File {
        File::from(self.master.try_clone().expect("a descriptor can be copied"))
    }

    /// Types keys.
    pub fn write(&self, keys: &[u8]) {
        self.reader().write_all(keys).expect("the terminal takes keys");
    }

    pub fn settings(&self) -> TtySettings {
        // SAFETY: `tcgetattr` writes to a local value.
        let (read, modes) = unsafe {
            let mut modes: libc::termios = std::mem::zeroed();
            (libc::tcgetattr(self.master.as_raw_fd(), &raw mut modes), modes)
        };
        assert_eq!(read, 0, "tcgetattr: {}", io::Error::last_os_error());
        let words = [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag];
        TtySettings { modes: words, keys: modes.c_cc.to_vec() }
    }

    /// Resizes the terminal: its foreground group gets WINCH.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = window(rows, columns);
        // SAFETY: `TIOCSWINSZ` only reads the size.
        let set =
            unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(set, 0, "TIOCSWINSZ: {}", io::Error::last_os_error());
    }

    /// The foreground process group.
    pub fn foreground(&self) -> u32 {
        // SAFETY: no memory is involved.
        let group = unsafe { libc::tcgetpgrp(self.master.as_raw_fd()) };
        u32::try_from(group).expect("the terminal has a foreground group")
    }
}

fn window(rows: u16, columns: u16) -> libc::winsize {
    libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Makes the terminal on stdin the controlling terminal of a new session. Called in the child
/// between fork and exec.
pub fn take_over() -> io::Result<()> {
    // SAFETY: both calls are async-signal-safe and involve no memory.
    let taken = unsafe { libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY as _, 0) >= 0 };
    if taken { Ok(()) } else { Err(io::Error::last_os_error()) }
}
