use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::attachment::{Attachment, OutputView, RedrawTrigger, TerminalUpdate};
use super::key_queue::KeyQueue;
use super::scrollback::Scrollback;
use super::subscriber::TerminalSubscriber;
use super::terminal_modes::TerminalModes;
use crate::model::{Message, ProcessExit, RunId};
use crate::process::{FileId, Pty, TermSize};
use crate::sync::lock_unpoisoned;

/// The terminal of a service through all its runs, and the clients attached to it.
#[derive(Debug, Default)]
pub struct ServiceTerminal(Mutex<TerminalState>);

#[derive(Debug, Default)]
struct TerminalState {
    present: Option<CurrentRun>,
    newest: Scrollback,
    /// Modes that the run has switched.
    traces: TerminalModes,
    nudges: usize,
    places: BTreeMap<u64, TerminalSubscriber>,
    numbers: u64,
}

#[derive(Debug)]
struct CurrentRun {
    run: RunId,
    terminal: Arc<Pty>,
}

impl ServiceTerminal {
    /// Attaches a client with a screen of this size. It first gets the newest lines that fit on its
    /// screen, then the modes that the run has switched. A full-screen program is made to redraw if
    /// the new size does not cause that anyway.
    pub fn attach(self: &Arc<Self>, size: TermSize) -> Attachment {
        let mut state = self.lock();
        state.numbers += 1;
        let number = state.numbers;
        let bell = Arc::new(Notify::new());
        // One line is for the welcome message.
        let fits = usize::from(size.known().map_or(24, |size| size.rows)).saturating_sub(1);
        let run = state.present.as_ref().map(|present| present.run);
        let mut place = TerminalSubscriber::new(size, run, bell.clone());
        place.output(&state.newest.lines(fits, state.traces.is_alt_screen()));
        place.output(&state.traces.restore());
        state.places.insert(number, place);
        let nudge = match state.fit_viewers() {
            false if state.traces.is_alt_screen() => {
                state.nudges += 1;
                state.fit_viewers();
                Some(RedrawTrigger(self.clone()))
            }
            true | false => None,
        };
        let view = OutputView { console: self.clone(), number, bell };
        Attachment { view, keyboard: KeyQueue::new(self.clone()), nudge }
    }

    pub(super) fn end_redraw(&self) {
        let mut state = self.lock();
        state.nudges -= 1;
        state.fit_viewers();
    }

    /// Returns the run that has the terminal now.
    pub fn run(&self) -> Option<RunId> {
        self.lock().present.as_ref().map(|present| present.run)
    }

    /// Whether the service currently runs on this terminal.
    pub fn is_shown_on(&self, terminal: FileId) -> bool {
        self.terminal().is_some_and(|own| own.device() == Some(terminal))
    }

    /// A run is about to start on this pty.
    pub(super) fn begin(&self, run: RunId, terminal: Arc<Pty>) {
        let mut state = self.lock();
        state.present = Some(CurrentRun { run, terminal });
        state.fit_viewers();
        state.notify_all(|place| place.event(TerminalUpdate::Began(run)));
    }

    /// Takes output of the run.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.show(bytes);
    }

    /// The run has ended, with the exit of its main process, if there was one. Modes that it left
    /// on are undone for the next run.
    pub(super) fn end(&self, run: RunId, exit: Option<ProcessExit>) {
        let mut state = self.lock();
        if state.present.take_if(|present| present.run == run).is_some() {
            if state.traces.is_switched() {
                let undo = state.traces.undo();
                state.show(&undo);
            }
            state.notify_all(|place| place.event(TerminalUpdate::Ended(run, exit)));
        }
    }

    /// Closes all attachments: the service will have no terminal any more.
    pub fn close(&self, why: &Message) {
        let mut state = self.lock();
        state.notify_all(|place| place.close(why.clone()));
    }

    pub(super) fn terminal(&self) -> Option<Arc<Pty>> {
        self.lock().present.as_ref().map(|present| present.terminal.clone())
    }

    pub(super) fn next_update(&self, number: u64) -> Option<TerminalUpdate> {
        let mut state = self.lock();
        let TerminalState { present, newest, traces, places, .. } = &mut *state;
        let run = present.as_ref().map(|present| present.run);
        places.get_mut(&number)?.take(run, newest, traces)
    }

    pub(super) fn resize(&self, number: u64, size: TermSize) {
        let mut state = self.lock();
        if let Some(place) = state.places.get_mut(&number) {
            place.size = size;
        }
        state.fit_viewers();
    }

    pub(super) fn detach(&self, number: u64) {
        let mut state = self.lock();
        state.places.remove(&number);
        state.fit_viewers();
    }

    fn lock(&self) -> MutexGuard<'_, TerminalState> {
        lock_unpoisoned(&self.0)
    }
}

impl TerminalState {
    fn show(&mut self, bytes: &[u8]) {
        self.newest.push(bytes);
        self.traces.watch(bytes);
        self.notify_all(|place| place.output(bytes));
    }

    /// Sets the pty to the size that all clients can show. True if that changed it.
    fn fit_viewers(&self) -> bool {
        let Some(present) = &self.present else { return false };
        let sizes = self.places.values().filter_map(|place| place.size.known());
        let less = u16::from(self.nudges > 0);
        let nudged =
            |size: TermSize| TermSize { rows: size.rows.saturating_sub(less).max(1), ..size };
        present.terminal.set_viewer_size(sizes.reduce(TermSize::common).map(nudged))
    }

    fn notify_all(&mut self, act: impl Fn(&mut TerminalSubscriber)) {
        for place in self.places.values_mut() {
            act(place);
            place.bell.notify_one();
        }
    }
}
