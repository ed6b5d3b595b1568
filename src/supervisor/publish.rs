//! Publishes state and events.

use super::status::{event_lines, qr_code};
use super::supervisor::{Supervisor, colors};
use crate::engine::{Effect, EngineTime};
use crate::model::{Event, EventKind, Message, Phase, Snapshot};

impl Supervisor {
    /// Drops the old snapshot before sending events: the reader of an event never gets an older
    /// snapshot.
    pub(super) fn publish(&mut self, now: EngineTime, effects: &[Effect]) {
        self.snapshot = None;
        for effect in effects {
            if let Effect::Emit(event) = effect {
                self.teller.publish(self.clock.timestamp(now), event);
            }
        }
        let state = self.engine.stack_state();
        self.state.send_if_modified(|old| std::mem::replace(old, state) != state);
    }

    /// Emits an event that the engine does not know.
    pub(super) fn emit(&mut self, event: Event) {
        self.snapshot = None;
        self.teller.publish(self.clock.timestamp(self.clock.now()), &event);
        self.on_event(event);
    }

    /// Handles consequences of an event and prints its status lines.
    pub(super) fn on_event(&mut self, event: Event) {
        if let EventKind::ShuttingDown(_) = event.what {
            self.hands.unwatch();
        }
        if let EventKind::Phase { to: Phase::Ready, run: Some(run), .. } = event.what {
            self.hands.scan_listeners(run);
            event.service.iter().for_each(|name| self.reloader.clear_avoided(name));
        }
        let stack = self.stack().clone();
        if let EventKind::Applied(_) = event.what {
            self.logs.set_services(&colors(&stack));
            self.hands.close_terminals(&stack);
        }
        let scene = self.snapshot_for(&event);
        let settled = matches!(event.what, EventKind::Settled { .. });
        match event_lines::shown_log(&event).cloned() {
            Some(service) => self.status.write_with_log(
                service,
                Box::new(move |tail| event_lines::event_lines(&event, &scene, &stack, tail)),
            ),
            None => {
                let lines = event_lines::event_lines(&event, &scene, &stack, &[]);
                self.status.write(lines);
                if let Some(before) = self.qr.filter(|_| settled) {
                    self.write_qr_code(&scene, before);
                }
            }
        }
        self.settled |= settled;
        self.report_settled();
    }

    /// Reports the end of the start once its status lines are written: clients show those first.
    pub(super) fn report_settled(&mut self) {
        if self.settled && self.status.is_empty() {
            self.start_done.send_replace(true);
        }
    }

    fn write_qr_code(&mut self, scene: &Snapshot, before: u16) {
        // Each line starts with a service name and a marker.
        let stack = self.stack();
        let names = stack.services.keys().map(|name| name.as_str().len()).max();
        let before = usize::from(before) + names.unwrap_or(0) + 3;
        let width = (self.terminal_size)().map(|(_, columns)| usize::from(columns));
        let room = width.map(|width| width.saturating_sub(before));
        self.status.write(vec![qr_code(scene, stack, room)]);
    }

    /// Reports the notes of a configuration load, except those of the previous load.
    pub fn load_notes(&mut self, notes: Vec<Message>) {
        let before = std::mem::replace(&mut self.notes, notes.clone());
        for note in notes.into_iter().filter(|note| !before.contains(note)) {
            self.note(note);
        }
    }

    /// Reports a note about the whole stack.
    pub fn note(&mut self, message: Message) {
        self.emit(Event { service: None, what: EventKind::Note(message) });
    }
}
