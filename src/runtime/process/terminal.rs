use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, OutputModes, Winsize};

/// The size of a terminal that nobody sees: that of the first ones, which every program can work with.
const USUAL: (u16, u16) = (24, 80);

/// The terminals of all services, which have one size: that of the terminal that devstack writes to.
#[derive(Debug)]
pub(super) struct Terminals(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Rows and columns.
    size: (u16, u16),
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
        let mut state = self.lock();
        let terminal = Arc::new(Terminal::open(state.size)?);
        state.live.retain(|terminal| terminal.strong_count() > 0);
        state.live.push(Arc::downgrade(&terminal));
        Ok(terminal)
    }

    /// Gives all of them this size. Their programs get SIGWINCH when that is another one.
    pub fn resize(&self, size: (u16, u16)) {
        let size = if size.0 == 0 || size.1 == 0 { USUAL } else { size };
        let mut state = self.lock();
        state.size = size;
        for terminal in state.live.iter().filter_map(Weak::upgrade) {
            // A program that has the old size shows its lines a little wrong; nothing else.
            let _ = rustix::termios::tcsetwinsize(&terminal.ours, winsize(size));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Numbers and references: true whatever the holder was doing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A terminal that devstack keeps for a service, both ends.
///
/// The service's end is held here, too: a service that closes its output and opens the terminal again finds
/// it alive, and no end is seen, and waited for in vain, that is none.
#[derive(Debug)]
pub(super) struct Terminal {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Terminal {
    fn open(size: (u16, u16)) -> io::Result<Terminal> {
        let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
        rustix::pty::grantpt(&ours)?;
        rustix::pty::unlockpt(&ours)?;
        let name = rustix::pty::ptsname(&ours, Vec::new())?;
        // It must not become the terminal of devstack's own session.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(&name, flags, Mode::empty())?;
        let mut modes = rustix::termios::tcgetattr(&theirs)?;
        // Nobody types, so nothing is to be echoed; and lines arrive as the service wrote them.
        modes.local_modes.remove(LocalModes::ECHO);
        modes.output_modes.remove(OutputModes::ONLCR);
        rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
        rustix::termios::tcsetwinsize(&ours, winsize(size))?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok(Terminal { ours, theirs })
    }

    /// The end for a keeper, which opens it anew for the service.
    pub fn end(&self) -> io::Result<OwnedFd> {
        self.theirs.try_clone()
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

fn winsize((rows, columns): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
