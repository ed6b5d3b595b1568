use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::keyboard::Keyboard;
use super::newest::Newest;
use super::nudge::Nudge;
use super::place::Place;
use super::seat::Seat;
use super::seen::Seen;
use super::traces::Traces;
use super::view::View;
use crate::model::{Message, ProcessExit, RunId};
use crate::runtime::process::{Pty, TermSize, TtyId};

/// The terminal of a service through all its runs, and the clients attached to it.
#[derive(Debug, Default)]
pub struct Console(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    present: Option<Present>,
    newest: Newest,
    /// Modes that the run has switched.
    traces: Traces,
    nudges: usize,
    places: BTreeMap<u64, Place>,
    numbers: u64,
}

#[derive(Debug)]
struct Present {
    run: RunId,
    terminal: Arc<Pty>,
}

impl Console {
    /// Attaches a client with a screen of this size. It first gets the newest lines that fit on its
    /// screen, then the modes that the run has switched. A full-screen program is made to redraw if
    /// the new size does not cause that anyway.
    pub fn sit(self: &Arc<Self>, size: TermSize) -> Seat {
        let mut state = self.lock();
        state.numbers += 1;
        let number = state.numbers;
        let bell = Arc::new(Notify::new());
        // One line is for the welcome message.
        let fits = usize::from(size.known().map_or(24, |size| size.rows)).saturating_sub(1);
        let run = state.present.as_ref().map(|present| present.run);
        let mut place = Place::new(size, run, bell.clone());
        place.output(&state.newest.lines(fits, state.traces.is_elsewhere()));
        place.output(&state.traces.again());
        state.places.insert(number, place);
        let nudge = match state.fit() {
            false if state.traces.is_elsewhere() => {
                state.nudges += 1;
                state.fit();
                Some(Nudge::new(self.clone()))
            }
            true | false => None,
        };
        let view = View::new(self.clone(), number, bell);
        Seat { view, keyboard: Keyboard::new(self.clone()), nudge }
    }

    pub(super) fn nudged(&self) {
        let mut state = self.lock();
        state.nudges -= 1;
        state.fit();
    }

    /// Returns the run that has the terminal now.
    pub fn run(&self) -> Option<RunId> {
        self.lock().present.as_ref().map(|present| present.run)
    }

    /// Whether the service currently runs on this terminal.
    pub fn is_shown_on(&self, terminal: TtyId) -> bool {
        self.terminal().is_some_and(|own| own.device() == Some(terminal))
    }

    /// A run is about to start on this pty.
    pub(crate) fn begin(&self, run: RunId, terminal: Arc<Pty>) {
        let mut state = self.lock();
        state.present = Some(Present { run, terminal });
        state.fit();
        state.each(|place| place.event(Seen::Began(run)));
    }

    /// Takes output of the run.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.show(bytes);
    }

    /// The run has ended, with the exit of its main process, if there was one. Modes that it left
    /// on are undone for the next run.
    pub(crate) fn end(&self, run: RunId, exit: Option<ProcessExit>) {
        let mut state = self.lock();
        if state.present.take_if(|present| present.run == run).is_some() {
            if !state.traces.again().is_empty() {
                let undo = state.traces.undo();
                state.show(&undo);
            }
            state.each(|place| place.event(Seen::Ended(run, exit)));
        }
    }

    /// Closes all attachments: the service will have no terminal any more.
    pub fn close(&self, why: &Message) {
        let mut state = self.lock();
        state.each(|place| place.close(why.clone()));
    }

    pub(super) fn terminal(&self) -> Option<Arc<Pty>> {
        self.lock().present.as_ref().map(|present| present.terminal.clone())
    }

    pub(super) fn take(&self, number: u64) -> Option<Seen> {
        let mut state = self.lock();
        let State { present, newest, traces, places, .. } = &mut *state;
        let run = present.as_ref().map(|present| present.run);
        places.get_mut(&number)?.take(run, newest, traces)
    }

    pub(super) fn resize(&self, number: u64, size: TermSize) {
        let mut state = self.lock();
        if let Some(place) = state.places.get_mut(&number) {
            place.size = size;
        }
        state.fit();
    }

    pub(super) fn leave(&self, number: u64) {
        let mut state = self.lock();
        state.places.remove(&number);
        state.fit();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change leaves the state valid, even on a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn show(&mut self, bytes: &[u8]) {
        self.newest.push(bytes);
        self.traces.watch(bytes);
        self.each(|place| place.output(bytes));
    }

    /// Sets the pty to the size that all clients can show. True if that changed it.
    fn fit(&self) -> bool {
        let Some(present) = &self.present else { return false };
        let sizes = self.places.values().filter_map(|place| place.size.known());
        let less = u16::from(self.nudges > 0);
        let nudged =
            |size: TermSize| TermSize { rows: size.rows.saturating_sub(less).max(1), ..size };
        present.terminal.set_viewer_size(sizes.reduce(TermSize::common).map(nudged))
    }

    fn each(&mut self, act: impl Fn(&mut Place)) {
        for place in self.places.values_mut() {
            act(place);
            place.bell.notify_one();
        }
    }
}
