use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Mutex;

use super::file_id::FileId;
use crate::sync::lock_unpoisoned;
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions, Winsize};

/// Size of a terminal; 0 means unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermSize {
    /// Lines.
    pub rows: u16,
    /// Characters per line.
    pub columns: u16,
}

impl TermSize {
    pub fn known(self) -> Option<TermSize> {
        Some(self).filter(|size| size.rows > 0 && size.columns > 0)
    }

    /// Returns what fits on both.
    pub fn common(self, other: TermSize) -> TermSize {
        TermSize { rows: self.rows.min(other.rows), columns: self.columns.min(other.columns) }
    }
}

/// The screen of a client that attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientScreen {
    pub size: TermSize,
    /// Its terminal; `None` if it is not one or unknown.
    pub terminal: Option<FileId>,
}

/// Both ends of a service's pty.
///
/// Its modes are those of any new terminal, as programs expect when a client attaches; without
/// clients there is no input and nothing is echoed.
///
/// Holds the user end too: a service may close its output and open the terminal again, and the
/// reader must not see an end of file in between.
#[derive(Debug)]
pub struct Pty {
    controller: OwnedFd,
    user: OwnedFd,
    sizes: Mutex<PtySizes>,
}

#[derive(Debug)]
struct PtySizes {
    /// Common size of all ptys.
    own: TermSize,
    /// What all viewers can show, if there are any.
    seen: Option<TermSize>,
}

impl Pty {
    pub(crate) fn open(size: TermSize) -> io::Result<Pty> {
        let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
        rustix::pty::grantpt(&ours)?;
        rustix::pty::unlockpt(&ours)?;
        let name = rustix::pty::ptsname(&ours, Vec::new())?;
        // NOCTTY: it must not become devstack's own controlling terminal.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(&name, flags, Mode::empty())?;
        let mut modes = rustix::termios::tcgetattr(&theirs)?;
        // Ctrl-S would stop the service, forever if the client detaches.
        modes.input_modes.remove(InputModes::IXON);
        // Backspace erases a whole character.
        modes.input_modes.insert(InputModes::IUTF8);
        rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        rustix::termios::tcsetwinsize(&ours, winsize(size))?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok(Pty {
            controller: ours,
            user: theirs,
            sizes: Mutex::new(PtySizes { own: size, seen: None }),
        })
    }

    /// Returns the user end for a keeper, which opens it again for the service.
    pub(crate) fn user_fd(&self) -> io::Result<OwnedFd> {
        self.user.try_clone()
    }

    /// Identifies the terminal as the service sees it.
    pub fn device(&self) -> Option<FileId> {
        FileId::of(&self.user)
    }

    /// Returns another descriptor of the controller end.
    pub(crate) fn controller_fd(&self) -> io::Result<OwnedFd> {
        self.controller.try_clone()
    }

    /// Sets the size that all viewers can show, or the common size again. Programs get SIGWINCH if
    /// the size changed. True if it did.
    pub fn set_viewer_size(&self, seen: Option<TermSize>) -> bool {
        self.change(|sizes| sizes.seen = seen)
    }

    /// Sets the size that it has without viewers.
    pub(crate) fn set_own_size(&self, size: TermSize) {
        self.change(|sizes| sizes.own = size);
    }

    fn change(&self, change: impl FnOnce(&mut PtySizes)) -> bool {
        let mut sizes = lock_unpoisoned(&self.sizes);
        let before = sizes.size();
        change(&mut sizes);
        let size = sizes.size();
        // A program with a wrong size only wraps lines badly.
        let _ = rustix::termios::tcsetwinsize(&self.controller, winsize(size));
        size != before
    }
}

impl PtySizes {
    fn size(&self) -> TermSize {
        self.seen.unwrap_or(self.own)
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.controller.as_fd()
    }
}

impl AsRawFd for Pty {
    fn as_raw_fd(&self) -> RawFd {
        self.controller.as_raw_fd()
    }
}

fn winsize(TermSize { rows, columns }: TermSize) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
