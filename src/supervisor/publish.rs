//! Publishes state and events.

use super::status::{event_lines, qr_code};
use super::supervisor::{Supervisor, colors};
use crate::engine::{Effect, EngineTime};
use crate::model::{Cause, Event, EventKind, Message, Phase, Snapshot, Stack};

/// Services get at least this many columns, however narrow the terminal is.
const MIN_COLUMNS: u16 = 40;

impl Supervisor {
    /// Drops the old snapshot before sending events: the reader of an event never gets an older
    /// snapshot.
    pub(super) fn publish(&mut self, now: EngineTime, effects: &[Effect]) {
        self.snapshot = None;
        for effect in effects {
            if let Effect::Emit(event) = effect {
                self.feed.publish(self.clock.timestamp(now), event);
            }
        }
        let state = self.engine.stack_state();
        self.state.send_if_modified(|old| std::mem::replace(old, state) != state);
    }

    /// Emits an event that the engine does not know.
    pub(super) fn emit(&mut self, event: Event) {
        self.snapshot = None;
        self.feed.publish(self.clock.timestamp(self.clock.now()), &event);
        self.on_event(event);
    }

    /// Handles consequences of an event and prints its status lines.
    pub(super) fn on_event(&mut self, event: Event) {
        self.end_actions_after(&event.what);
        if let EventKind::ShuttingDown(_) = event.what {
            self.executor.unwatch();
        }
        if let EventKind::Phase { to: Phase::Ready, run: Some(run), .. } = event.what {
            self.executor.scan_listeners(run);
            event.service.iter().for_each(|name| self.reloader.clear_avoided(name));
        }
        if let EventKind::Phase { to: Phase::Ready | Phase::Asleep, .. } = event.what {
            let service = event.service.as_ref().and_then(|name| self.stack().services.get(name));
            if self.stack().proxy.is_some() && service.is_some_and(|one| one.proxy.is_some()) {
                self.serves.send_replace(true);
            }
        }
        if let (EventKind::Phase { to, cause, .. }, Some(name)) = (&event.what, &event.service) {
            match to {
                Phase::Backoff | Phase::Failed => self.logs.judge_run(name, true),
                // Not known yet.
                Phase::Waiting | Phase::Starting => {}
                Phase::Stopping if matches!(cause, Cause::Exited(_)) => {}
                _ => self.logs.judge_run(name, false),
            }
        }
        let stack = self.stack().clone();
        if let EventKind::Applied(_) = event.what {
            self.set_log_columns(&stack);
            self.executor.close_terminals(&stack);
        }
        let scene = self.snapshot_for(&event);
        let settled = matches!(event.what, EventKind::Settled { .. });
        let unseen = self.output_unseen && !self.settled;
        match event_lines::shown_log(&event, unseen).cloned() {
            Some(service) => self.status.write_with_log(
                service,
                Box::new(move |tail| event_lines::event_lines(&event, &scene, &stack, tail)),
            ),
            None => {
                let lines = event_lines::event_lines(&event, &scene, &stack, &[]);
                self.status.write(lines);
                if self.qr && settled {
                    self.write_qr_code(&scene);
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

    fn write_qr_code(&mut self, scene: &Snapshot) {
        let width = (self.terminal_size)().map(|(_, columns)| usize::from(columns));
        let room = width.map(|width| width.saturating_sub(self.logs.indent()));
        self.status.write(vec![qr_code(scene, self.stack(), room)]);
    }

    /// Sets the names at the start of printed lines, which the terminals of services leave room for.
    pub(super) fn set_log_columns(&mut self, stack: &Stack) {
        self.logs.set_services(&colors(stack));
        self.resize_terminals();
    }

    /// Makes the terminals of services as wide as what is printed of them.
    pub(super) fn resize_terminals(&self) {
        if let Some((rows, columns)) = (self.terminal_size)()
            && columns > 0
        {
            let indent = u16::try_from(self.logs.indent()).unwrap_or(u16::MAX);
            self.executor.resize(rows, columns.saturating_sub(indent).max(MIN_COLUMNS));
        }
    }

    /// Shows the names of services, or why they are not served.
    pub(super) fn set_names(&mut self, served: Result<Option<Message>, Message>) {
        self.snapshot = None;
        self.names.send_replace(Some(served.is_ok()));
        if let Some(message) = served.unwrap_or_else(Some) {
            self.note(message);
        }
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
