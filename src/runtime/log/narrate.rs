//! What devstack says about what happens: from events to lines. Pure, but for the last lines of a
//! service that failed, which come from its log.
//!
//! The normal course is told briefly and once: who starts and where, who is ready. Waiting, an exit that
//! was asked for and what the next line says anyway are not told.

use std::path::Path;

use super::logs::Logs;
use super::said::{Said, Tone};
use super::summary::{summary, took};
use crate::model::{
    Cause, Class, DEBUG_PORT, Event, Happening, Message, Name, Phase, Plan, ServiceView, Shown,
    Snapshot, Stack, signal_name,
};
use crate::runtime::process::headline;

/// How many lines of its log are shown with the failure of a service.
const TAIL: usize = 10;

/// The lines that tell `event`. `snapshot` is what is after it, `stack` what is meant to be.
pub fn event(event: &Event, snapshot: &Snapshot, stack: &Stack, logs: &Logs) -> Vec<Said> {
    lines(event, snapshot, stack, &|service| logs.tail(service, TAIL))
}

/// The line that tells of a configuration that was saved and not applied; `text` shows what is wrong.
pub fn not_applied(why: &str, text: &str) -> Said {
    Said::all(Tone::Failure, format!("nothing changed: {why}\n{}", text.trim_end()))
}

/// The line that tells that the end of the stack is not proved.
pub fn unproved() -> Said {
    let text = "it could not be proved that every process of the stack has ended\n\
        help: look with `ps -ef`; a leftover may still hold a port, see `devstack ports`";
    Said::all(Tone::Failure, text)
}

/// The line that tells that the mistakes are gone, and nothing else is different.
pub fn mended_config() -> Said {
    Said::all(Tone::Good, "the configuration is good again; nothing changed")
}

/// The line that tells of an edit that is good and is not applied.
pub fn waits() -> Said {
    let text = "the configuration changed and nothing is applied, because it says `live = false`\n\
        help: `devstack plan` shows what would change; `live = true` in the file applies it";
    Said::all(Tone::Notice, text)
}

/// The line that tells that what was not applied makes no difference any more.
pub fn as_it_runs() -> Said {
    Said::all(Tone::Good, "the configuration is as it runs again")
}

/// The line that tells whether edits are applied from now on.
pub fn live(live: bool) -> Said {
    Said::all(
        Tone::Notice,
        match live {
            true => "edits of the configuration are applied again (`live = true`)",
            false => "from now on edits of the configuration wait (`live = false`)",
        },
    )
}

/// What was applied, a line a change, and how many were left alone.
fn applied(plan: &Plan) -> String {
    let keeps = match plan.keeps.len() {
        0 => String::new(),
        1 => "; 1 service runs on".to_owned(),
        many => format!("; {many} services run on"),
    };
    let lines: String = plan.lines().iter().map(|line| format!("\n  {line}")).collect();
    format!("applied the new configuration{keeps}{lines}")
}

fn lines(
    event: &Event,
    snapshot: &Snapshot,
    stack: &Stack,
    tail: &dyn Fn(&Name) -> Vec<String>,
) -> Vec<Said> {
    let line =
        |tone, text: String| vec![Said { service: event.service.clone(), tone, text, more: false }];
    match &event.what {
        // Nobody asked for it, or what was done to it has been told.
        Happening::Phase { from: None, to: Phase::Idle, cause: Cause::NotAsked, .. }
        | Happening::Gone => Vec::new(),
        Happening::Phase { from, to, cause, run: _ } => match &event.service {
            Some(name) => Scene { name, snapshot, stack, tail }.phase(*from, *to, cause),
            None => Vec::new(),
        },
        // The phase that follows says how it ended.
        Happening::Ended { .. } => Vec::new(),
        Happening::BuildStarted { command, path } => {
            let (command, path) = (headline(command), short(path, stack));
            line(Tone::Plain, format!("running `{command}`: {path} changed"))
        }
        Happening::Built { command, took: time } => {
            let took = took(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            line(Tone::Good, format!("`{}` succeeded in {took}", headline(command)))
        }
        Happening::Signalled { signal, path } => {
            let name =
                signal_name(*signal).map_or_else(|| signal.to_string(), |n| format!("SIG{n}"));
            line(Tone::Plain, format!("got {name}: {} changed", short(path, stack)))
        }
        Happening::Note(message) => {
            let tone = if message.class == Class::Build { Tone::Failure } else { Tone::Warning };
            line(tone, with_help(message))
        }
        Happening::Attachable(place) => line(Tone::Good, format!("debug   {place}")),
        Happening::Settled { well: _ } => summary(snapshot, stack),
        Happening::Applied(plan) => line(Tone::Notice, applied(plan)),
        Happening::ShuttingDown(why) => line(Tone::Notice, format!("stopping: {why}")),
    }
}

/// A service whose phase changed, and what there is to know about it.
struct Scene<'a> {
    name: &'a Name,
    snapshot: &'a Snapshot,
    stack: &'a Stack,
    tail: &'a dyn Fn(&Name) -> Vec<String>,
}

impl Scene<'_> {
    fn phase(&self, from: Option<Phase>, to: Phase, cause: &Cause) -> Vec<Said> {
        match to {
            Phase::Idle => self.idle(cause),
            Phase::Waiting => self.waiting(cause),
            Phase::Starting => self.starting(from, cause),
            Phase::Ready => self.ready(cause),
            Phase::Unhealthy => self.trouble(Tone::Warning, "not healthy", cause),
            Phase::Stopping => self.stopping(cause),
            Phase::Backoff => self.say(Tone::Warning, cause.to_string()),
            Phase::Done => self.done(cause),
            Phase::Failed => self.trouble(Tone::Failure, "failed", cause),
        }
    }

    fn say(&self, tone: Tone, text: impl Into<String>) -> Vec<Said> {
        vec![Said::of(self.name, tone, text)]
    }

    fn view(&self) -> Option<&ServiceView> {
        self.snapshot.services.iter().find(|view| view.name == *self.name)
    }

    fn idle(&self, cause: &Cause) -> Vec<Said> {
        if matches!(cause, Cause::Shutdown(_)) {
            return Vec::new();
        }
        self.say(Tone::Plain, "stopped")
    }

    fn waiting(&self, cause: &Cause) -> Vec<Said> {
        match cause {
            Cause::Robbed(message) => self.say(Tone::Warning, message.text.clone()),
            _ => Vec::new(),
        }
    }

    fn starting(&self, from: Option<Phase>, cause: &Cause) -> Vec<Said> {
        if matches!(cause, Cause::Spawned { .. }) {
            // Told when it was ordered.
            return Vec::new();
        }
        let mut text = "starting".to_owned();
        let ports = self.stack.services.get(self.name).map_or(&[][..], |service| &service.ports);
        match ports {
            [] => {}
            [port] if port.name == DEBUG_PORT => text += &format!(" on debug port {}", port.number),
            [port] => text += &format!(" on port {}", port.number),
            ports => {
                let each: Vec<String> =
                    ports.iter().map(|port| format!("{} {}", port.name, port.number)).collect();
                text += &format!(" on ports {}", each.join(", "));
            }
        }
        // Once is enough: every restart would repeat it.
        let first =
            matches!(cause, Cause::Robbed(_)) || self.view().is_none_or(|view| view.restarts == 0);
        let moved: Vec<&str> = ports.iter().filter_map(|port| port.moved.as_deref()).collect();
        if first && !moved.is_empty() {
            text += &format!(": {}", moved.join("; "));
        }
        if let Cause::Unheld(how) = cause {
            text += &format!(" again: {how}");
        }
        // The stop before it has told it already.
        if let Cause::FileChanged(path) = cause
            && from != Some(Phase::Stopping)
        {
            text += &format!(": {} changed", self.short(path));
        }
        self.say(Tone::Plain, text)
    }

    fn ready(&self, cause: &Cause) -> Vec<Said> {
        if matches!(cause, Cause::NoProbe) {
            // It was told that it starts, and nothing more is known.
            return Vec::new();
        }
        let mut text = "ready".to_owned();
        if let Some(view) = self.view() {
            text += &view.ready_after_ms.map_or(String::new(), |ms| format!(" in {}", took(ms)));
            text += &view.url.as_ref().map_or(String::new(), |url| format!(" at {url}"));
        }
        self.say(Tone::Good, text)
    }

    fn stopping(&self, cause: &Cause) -> Vec<Said> {
        match cause {
            // Told for the whole stack, or by the phase that follows.
            Cause::Shutdown(_) | Cause::Exited(_) => Vec::new(),
            // Who has it is told when it waits for another one.
            Cause::Robbed(_) => self.say(Tone::Plain, "stopping: its port was taken"),
            Cause::GraceOver(_) => self.say(Tone::Warning, cause.to_string()),
            Cause::FileChanged(path) => {
                self.say(Tone::Plain, format!("restarting: {} changed", self.short(path)))
            }
            Cause::ConfigChanged(what) => self.say(Tone::Plain, format!("restarting: {what}")),
            Cause::Asked("restart") => self.say(Tone::Plain, "restarting"),
            Cause::Asked(_) => self.say(Tone::Plain, "stopping"),
            other => self.say(Tone::Plain, format!("stopping: {other}")),
        }
    }

    fn done(&self, cause: &Cause) -> Vec<Said> {
        let task = self.view().is_some_and(|view| view.kind == "task");
        match task {
            true => self.say(Tone::Good, "completed"),
            false => self.say(Tone::Plain, format!("done: {cause}")),
        }
    }

    /// What went wrong, the last lines of its log, and what to do.
    fn trouble(&self, tone: Tone, phase: &str, cause: &Cause) -> Vec<Said> {
        let mut text = format!("{phase}: {cause}");
        let message = match cause {
            Cause::Failed(message) => Some(message),
            _ => None,
        };
        if message.is_none_or(has_lines) {
            text.extend((self.tail)(self.name).iter().map(|line| format!("\n  | {line}")));
        }
        let help = message.map_or("", |message| &message.help);
        if !help.is_empty() {
            text += &format!("\nhelp: {help}");
        }
        self.say(tone, text)
    }

    fn short(&self, path: &Path) -> String {
        short(path, self.stack)
    }
}

/// A path as seen from the folder of the stack.
fn short(path: &Path, stack: &Stack) -> String {
    Shown(path.strip_prefix(&stack.dir).unwrap_or(path)).to_string()
}

/// Whether the last lines of a service tell more: not if it never ran.
fn has_lines(message: &Message) -> bool {
    !matches!(message.class, Class::Spawn | Class::DepFailed | Class::Port | Class::Config)
}

fn with_help(message: &Message) -> String {
    match message.help.as_str() {
        "" => message.text.clone(),
        help => format!("{}\nhelp: {help}", message.text),
    }
}

#[cfg(test)]
#[path = "tests/narration.rs"]
mod tests;
