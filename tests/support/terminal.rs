use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The master side of a pseudo terminal: where the person sits.
pub struct Terminal {
    master: OwnedFd,
}

/// What `stty -g` would print, to compare before and after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    modes: [libc::tcflag_t; 4],
    keys: Vec<libc::cc_t>,
}

impl Terminal {
    /// A terminal of this size, and the side for the program.
    pub fn open(rows: u16, columns: u16) -> (Terminal, OwnedFd) {
        let (mut master, mut slave) = (-1, -1);
        let mut size = window(rows, columns);
        // SAFETY: both descriptors and the size are ours; no name and no settings are asked for.
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
            // SAFETY: sets a flag of a descriptor that was just opened.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        // SAFETY: both were just opened and belong to nobody else.
        unsafe { (Terminal { master: OwnedFd::from_raw_fd(master) }, OwnedFd::from_raw_fd(slave)) }
    }

    /// Another handle of the master, to read from.
    pub fn reader(&self) -> File {
        File::from(self.master.try_clone().expect("a descriptor can be copied"))
    }

    /// What the person types.
    pub fn write(&self, keys: &[u8]) {
        self.reader().write_all(keys).expect("the terminal takes keys");
    }

    /// The settings now.
    pub fn settings(&self) -> Settings {
        // SAFETY: `tcgetattr` fills a value that is ours.
        let (read, modes) = unsafe {
            let mut modes: libc::termios = std::mem::zeroed();
            (libc::tcgetattr(self.master.as_raw_fd(), &raw mut modes), modes)
        };
        assert_eq!(read, 0, "tcgetattr: {}", io::Error::last_os_error());
        let words = [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag];
        Settings { modes: words, keys: modes.c_cc.to_vec() }
    }

    /// The window gets another size; the foreground group gets WINCH.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = window(rows, columns);
        // SAFETY: `TIOCSWINSZ` reads the size only.
        let set =
            unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(set, 0, "TIOCSWINSZ: {}", io::Error::last_os_error());
    }

    /// The process group in the foreground.
    pub fn foreground(&self) -> u32 {
        // SAFETY: no memory is involved.
        let group = unsafe { libc::tcgetpgrp(self.master.as_raw_fd()) };
        u32::try_from(group).expect("the terminal has a foreground group")
    }
}

fn window(rows: u16, columns: u16) -> libc::winsize {
    libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Makes the terminal on stdin the controlling one of a new session. For the child between fork and exec.
pub fn take_over() -> io::Result<()> {
    // SAFETY: both calls are allowed between fork and exec, and involve no memory.
    let taken = unsafe { libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY as _, 0) >= 0 };
    if taken { Ok(()) } else { Err(io::Error::last_os_error()) }
}
