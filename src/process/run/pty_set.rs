use std::io;
use std::sync::{Arc, Mutex, Weak};

use crate::sync::lock_unpoisoned;
use crate::sys::pty::{Pty, TermSize};

/// Size of a pty without viewers, which every program can handle.
const DEFAULT_SIZE: TermSize = TermSize { rows: 24, columns: 80 };

/// The ptys of all services. Without viewers they all have the size of devstack's own terminal.
#[derive(Debug)]
pub(crate) struct PtySet(Mutex<PtySetState>);

#[derive(Debug)]
struct PtySetState {
    size: TermSize,
    live: Vec<Weak<Pty>>,
}

impl Default for PtySet {
    fn default() -> PtySet {
        PtySet(Mutex::new(PtySetState { size: DEFAULT_SIZE, live: Vec::new() }))
    }
}

impl PtySet {
    pub fn open(&self) -> io::Result<Arc<Pty>> {
        let mut state = lock_unpoisoned(&self.0);
        let terminal = Arc::new(Pty::open(state.size)?);
        state.live.retain(|terminal| terminal.strong_count() > 0);
        state.live.push(Arc::downgrade(&terminal));
        Ok(terminal)
    }

    /// Resizes all ptys. Their programs get SIGWINCH if the size changed.
    pub fn resize(&self, size: TermSize) {
        let size = size.known().unwrap_or(DEFAULT_SIZE);
        let mut state = lock_unpoisoned(&self.0);
        state.size = size;
        for terminal in state.live.iter().filter_map(Weak::upgrade) {
            terminal.set_own_size(size);
        }
    }
}
