use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::keyboard::Keyboard;
use super::newest::Newest;
use super::place::Place;
use super::seat::Seat;
use super::seen::Seen;
use super::view::View;
use crate::model::{Exit, Message, Run};
use crate::runtime::process::{Size, Terminal};

/// The terminal of a service through all its runs, and who is attached to it.
#[derive(Debug, Default)]
pub struct Console(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    present: Option<Present>,
    newest: Newest,
    places: BTreeMap<u64, Place>,
    /// How many there were.
    numbers: u64,
}

/// The run that has the terminal.
#[derive(Debug)]
struct Present {
    run: Run,
    terminal: Arc<Terminal>,
}

impl Console {
    /// A place for somebody who has a screen of this size. What is seen first are the newest lines that fit on it.
    pub fn sit(self: &Arc<Self>, size: Size) -> Seat {
        let mut state = self.lock();
        state.numbers += 1;
        let number = state.numbers;
        let bell = Arc::new(Notify::new());
        // A line of the screen is for the word of welcome.
        let fits = usize::from(size.known().map_or(24, |size| size.rows)).saturating_sub(1);
        let run = state.present.as_ref().map(|present| present.run);
        let mut place = Place::new(size, run, bell.clone());
        place.output(state.newest.lines(fits));
        state.places.insert(number, place);
        state.fit();
        Seat { view: View::new(self.clone(), number, bell), keyboard: Keyboard::new(self.clone()) }
    }

    /// The run that has the terminal now.
    pub fn run(&self) -> Option<Run> {
        self.lock().present.as_ref().map(|present| present.run)
    }

    /// A run is about to begin in this terminal.
    pub(crate) fn begin(&self, run: Run, terminal: Arc<Terminal>) {
        let mut state = self.lock();
        state.present = Some(Present { run, terminal });
        state.fit();
        state.each(|place| place.event(Seen::Began(run)));
    }

    /// The terminal of the run shows this.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.newest.push(bytes);
        state.each(|place| place.output(bytes));
    }

    /// Nothing comes of the run any more; how its main process ended, if it had one.
    pub(crate) fn end(&self, run: Run, exit: Option<Exit>) {
        let mut state = self.lock();
        if state.present.take_if(|present| present.run == run).is_some() {
            state.each(|place| place.event(Seen::Ended(run, exit)));
        }
    }

    /// The service will have no terminal any more: whoever is attached has seen it all.
    pub fn close(&self, why: &Message) {
        let mut state = self.lock();
        state.each(|place| place.close(why.clone()));
    }

    pub(super) fn terminal(&self) -> Option<Arc<Terminal>> {
        self.lock().present.as_ref().map(|present| present.terminal.clone())
    }

    pub(super) fn take(&self, number: u64) -> Option<Seen> {
        let mut state = self.lock();
        let State { present, newest, places, .. } = &mut *state;
        places.get_mut(&number)?.take(present.as_ref().map(|present| present.run), newest)
    }

    pub(super) fn resize(&self, number: u64, size: Size) {
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
        // Every holder leaves it whole, even when it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// All who are attached see all of it.
    fn fit(&self) {
        let sizes = self.places.values().filter_map(|place| place.size.known());
        if let Some(present) = &self.present {
            present.terminal.fit(sizes.reduce(Size::common));
        }
    }

    fn each(&mut self, act: impl Fn(&mut Place)) {
        for place in self.places.values_mut() {
            act(place);
            place.bell.notify_one();
        }
    }
}
