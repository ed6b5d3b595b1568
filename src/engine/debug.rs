//! What is held while a service is being debugged: whoever looks at a breakpoint wants it to stay there.
//!
//! Such a run is stopped by a request, a change of its configuration, the loss of a port before it is ready, or a
//! shutdown, and by nothing else: no save, no probe and no time limit ends it. It has no limit to become ready and no health probes; a stop that takes long
//! is told and waits. Only the end of the whole stack has a limit still, see `SHUTDOWN_CAP`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::effect::Effect;
use super::input::Ticket;
use super::pending::{Goal, Pending};
use super::slot::{KillAt, Listening, Slot, State, Time};
use super::{Engine, Happening};
use crate::model::{Cause, Class, Message, Mode, Name, Run, Span};

impl Engine {
    /// These go on in run mode: somebody waits until they do.
    pub(super) fn undebug(&mut self, ticket: Ticket, names: Vec<Name>, effects: &mut Vec<Effect>) {
        match self.check(&names) {
            Ok(names) => self.pending.push(Pending { ticket, goal: Goal::Undebugged, names }),
            Err(message) => effects.push(Effect::Answer(ticket, Err(message))),
        }
    }

    /// The debugger of a run listens.
    pub(super) fn attachable(&mut self, run: Run, effects: &mut Vec<Effect>) {
        let Some(slot) = self.current(run) else { return };
        let Mode::Debug(debugging) = slot.launched.mode else { return };
        let before = std::mem::replace(&mut slot.debugger, Listening::Seen);
        if before == Listening::Missed {
            slot.note.take_if(|note| note.class == Class::Port);
        }
        if before != Listening::Seen {
            slot.say(Happening::Attachable(debugging.told()), effects);
        }
    }
}

impl Slot {
    /// Whether a run goes on that a debugger can attach to.
    pub fn is_debugged(&self) -> bool {
        let goes_on = match self.state {
            State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. } => true,
            State::Idle
            | State::Stopping { .. }
            | State::Draining { .. }
            | State::Backoff { .. }
            | State::Displaced { .. }
            | State::Over(_) => false,
        };
        goes_on && self.launched.mode.is_debug()
    }

    /// Whether it has come as far as it comes without a debugger.
    pub fn awaits_debugger(&self) -> bool {
        match self.launched.mode {
            Mode::Debug(debugging) => debugging.waits && self.debugger == Listening::Seen,
            Mode::Run => false,
        }
    }

    /// `api: attach debugpy at 127.0.0.1:5678`
    pub fn told_in_debug(&self) -> String {
        let name = &self.service.name;
        match self.launched.mode {
            Mode::Debug(debugging) if self.debugger == Listening::Seen => {
                format!("{name}: {}", debugging.told())
            }
            Mode::Debug(debugging) => {
                format!(
                    "{name}: in debug mode, and nothing of it listens on {}",
                    debugging.address()
                )
            }
            Mode::Run => format!("{name}: in run mode"),
        }
    }

    /// When people are told that no debugger can attach.
    pub fn debugger_deadline(&self) -> Option<Time> {
        match self.debugger {
            Listening::Awaited(at) => self.is_debugged().then_some(at),
            Listening::Unknown | Listening::Seen | Listening::Missed => None,
        }
    }

    /// Says that no debugger can attach, once it is time.
    pub fn miss_debugger(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let Mode::Debug(debugging) = self.launched.mode else { return };
        if self.debugger_deadline().is_none_or(|at| at > now) {
            return;
        }
        self.debugger = Listening::Missed;
        let text = format!(
            "is in debug mode, and nothing of it listens on {} after {}",
            debugging.address(),
            Span(self.service.ready.timeout)
        );
        let help = "have `debug.command` start a debugger there: $DEBUG_HOST and $DEBUG_PORT name the place";
        let message = Message::new(Class::Port, text).help(help);
        self.note.get_or_insert_with(|| message.clone());
        self.say(Happening::Note(message), effects);
    }

    /// When a run that is told to stop now is killed.
    pub fn kill_at(&self, now: Time) -> KillAt {
        let at = now + self.service.stop.grace;
        match self.launched.mode {
            Mode::Debug(_) => KillAt::Held(Some(at)),
            Mode::Run => KillAt::At(at),
        }
    }

    /// Says that a stop takes long, and why nobody is killed for it.
    pub fn tell_held_stop(&self, why: &Cause, effects: &mut Vec<Effect>) {
        let name = &self.service.name;
        let text = format!(
            "{name} has not stopped within {}: it is being debugged and may stand at a breakpoint",
            Span(self.service.stop.grace)
        );
        let again = match why {
            Cause::Shutdown(_) => "Ctrl-C once more kills it".to_owned(),
            _ => format!("`devstack stop {name}` once more kills it"),
        };
        let help = format!("let it go on in the debugger; {again}");
        let message = Message::new(Class::StopTimeout, text).help(help);
        self.say(Happening::Note(message), effects);
    }

    /// Somebody asks again for the end of a run that takes long to stop because it is being debugged.
    pub fn insist(&mut self, now: Time) {
        if let State::Stopping { kill: kill @ KillAt::Held(None), .. } = &mut self.state {
            *kill = KillAt::At(now);
        }
    }

    /// A save while it is being debugged: nothing follows before somebody restarts it. Its commands run when it is
    /// back in run mode: a debug command builds what it needs.
    pub fn hold_save(&mut self, files: &BTreeMap<usize, PathBuf>, effects: &mut Vec<Effect>) {
        self.keep_commands(files);
        let Some(path) = files.values().next() else { return };
        if std::mem::replace(&mut self.saves.hold_told, true) {
            return;
        }
        let name = &self.service.name;
        let shown = path.strip_prefix(&self.service.launch.dir).unwrap_or(path).display();
        let text = format!("restart held: {shown} changed and {name} is being debugged");
        let help = format!("`devstack restart {name}` takes the change");
        let message = Message::new(Class::WatchDegraded, text).help(help);
        self.note = Some(message.clone());
        self.say(Happening::Note(message), effects);
    }

    /// A save while it is to be debugged and does not run: any is a reason to try again.
    pub fn retry_debug(&mut self, files: &BTreeMap<usize, PathBuf>) {
        self.keep_commands(files);
        let Some(path) = files.values().next() else { return };
        match self.state {
            State::Idle | State::Draining { .. } | State::Backoff { .. } | State::Over(_) => {
                self.renew(Cause::FileChanged(path.clone()));
            }
            // What comes next begins after the save anyway.
            State::Launching { .. }
            | State::Starting { .. }
            | State::Late { .. }
            | State::Ready { .. }
            | State::Unwell { .. }
            | State::Stopping { .. }
            | State::Displaced { .. } => {}
        }
    }

    fn keep_commands(&mut self, files: &BTreeMap<usize, PathBuf>) {
        for (place, path) in files {
            let watch = self.service.watch.get(*place);
            if watch.is_some_and(|watch| watch.action.command().is_some()) {
                self.saves.held.insert(*place, path.clone());
            }
        }
    }
}
