use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::device::Device;
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions, Winsize};

/// The size of a terminal that nobody sees: that of the first ones, which every program can work with.
const USUAL: Size = Size { rows: 24, columns: 80 };

/// How much fits on a terminal. A 0 means that it is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Size {
    /// Itself, if it is known.
    pub fn known(self) -> Option<Size> {
        Some(self).filter(|size| size.rows > 0 && size.columns > 0)
    }

    /// What fits on both.
    pub fn common(self, other: Size) -> Size {
        Size { rows: self.rows.min(other.rows), columns: self.columns.min(other.columns) }
    }
}

/// The terminals of all services. Where nobody is attached they have one size: that of the terminal that devstack
/// writes to.
#[derive(Debug)]
pub(super) struct Terminals(Mutex<State>);

#[derive(Debug)]
struct State {
    size: Size,
    live: Vec<Weak<Terminal>>,
}

impl Default for Terminals {
    fn default() -> Terminals {
        Terminals(Mutex::new(State { size: USUAL, live: Vec::new() }))
    }
}

impl Terminals {
    /// A new terminal.
    pub fn open(&self) -> io::Result<Arc<Terminal>> {
        let mut state = lock(&self.0);
        let terminal = Arc::new(Terminal::open(state.size)?);
        state.live.retain(|terminal| terminal.strong_count() > 0);
        state.live.push(Arc::downgrade(&terminal));
        Ok(terminal)
    }

    /// Gives all of them this size. Their programs get SIGWINCH when that is another one.
    pub fn resize(&self, size: Size) {
        let size = size.known().unwrap_or(USUAL);
        let mut state = lock(&self.0);
        state.size = size;
        for terminal in state.live.iter().filter_map(Weak::upgrade) {
            terminal.change(|sizes| sizes.own = size);
        }
    }
}

/// A terminal that devstack keeps for a service, both ends.
///
/// Its modes are those of every new terminal, so that a program finds what it knows when somebody attaches; while
/// nobody does, nothing is typed and nothing is echoed.
///
/// The service's end is held here, too: a service that closes its output and opens the terminal again finds
/// it alive, and no end is seen, and waited for in vain, that is none.
#[derive(Debug)]
pub struct Terminal {
    ours: OwnedFd,
    theirs: OwnedFd,
    sizes: Mutex<Sizes>,
}

#[derive(Debug)]
struct Sizes {
    /// As that of all others.
    own: Size,
    /// What those who are attached can see, if somebody is.
    seen: Option<Size>,
}

impl Terminal {
    fn open(size: Size) -> io::Result<Terminal> {
        let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
        rustix::pty::grantpt(&ours)?;
        rustix::pty::unlockpt(&ours)?;
        let name = rustix::pty::ptsname(&ours, Vec::new())?;
        // It must not become the terminal of devstack's own session.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(&name, flags, Mode::empty())?;
        let mut modes = rustix::termios::tcgetattr(&theirs)?;
        // Ctrl-S would stop the service, for ever when whoever typed it leaves.
        modes.input_modes.remove(InputModes::IXON);
        // Backspace takes a whole character.
        modes.input_modes.insert(InputModes::IUTF8);
        rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        rustix::termios::tcsetwinsize(&ours, winsize(size))?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok(Terminal { ours, theirs, sizes: Mutex::new(Sizes { own: size, seen: None }) })
    }

    /// The end for a keeper, which opens it anew for the service.
    pub(super) fn end(&self) -> io::Result<OwnedFd> {
        self.theirs.try_clone()
    }

    /// Which one it is, as its program sees it.
    pub fn device(&self) -> Option<Device> {
        Device::of(&self.theirs)
    }

    /// Another descriptor of the end where a person sits.
    pub(super) fn keys(&self) -> io::Result<OwnedFd> {
        self.ours.try_clone()
    }

    /// Gives it the size of what those see who are attached, or that of all others again. Its programs get SIGWINCH
    /// when that is another one; whether it is.
    pub fn fit(&self, seen: Option<Size>) -> bool {
        self.change(|sizes| sizes.seen = seen)
    }

    fn change(&self, change: impl FnOnce(&mut Sizes)) -> bool {
        let mut sizes = lock(&self.sizes);
        let before = sizes.size();
        change(&mut sizes);
        let size = sizes.size();
        // A program that has the old size shows its lines a little wrong; nothing else.
        let _ = rustix::termios::tcsetwinsize(&self.ours, winsize(size));
        size != before
    }
}

impl Sizes {
    fn size(&self) -> Size {
        self.seen.unwrap_or(self.own)
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ours.as_fd()
    }
}

impl AsRawFd for Terminal {
    fn as_raw_fd(&self) -> RawFd {
        self.ours.as_raw_fd()
    }
}

fn winsize(Size { rows, columns }: Size) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Numbers and references: true whatever the holder was doing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
