//! Status lines for events: what starts and where, what is ready; not what the next line repeats.

use std::path::Path;

use super::startup_summary::{format_millis, startup_summary};
use crate::log::{EXCERPT, StatusText, StatusTone};
use crate::model::{
    Cause, DEBUG_PORT, DisplayPath, Event, EventKind, Message, MessageClass, Name, Phase, Plan,
    ProcessExit, ServiceView, Snapshot, Stack, signal_name,
};
use crate::process::command_summary;

/// Returns the service whose last log lines the status lines for `event` show: of a failure that
/// they may explain. With `unseen` output, its first exit has them, too.
pub fn shown_log(event: &Event, unseen: bool) -> Option<&Name> {
    let EventKind::Phase { to, cause, .. } = &event.what else { return None };
    let shown = match (to, cause) {
        (Phase::Unhealthy | Phase::Failed, Cause::Failed(message)) => has_lines(message),
        (Phase::Unhealthy | Phase::Failed, _) => true,
        (Phase::Backoff, Cause::BackingOff { count, .. }) => unseen && *count == 1,
        _ => false,
    };
    event.service.as_ref().filter(|_| shown)
}

/// Reports a changed configuration that was not applied; `text` shows what is wrong.
pub fn not_applied(why: &str, text: &str) -> StatusText {
    StatusText::stack_wide(StatusTone::Failure, format!("not applied: {why}\n{}", text.trim_end()))
}

/// Reports that no process of the stack is left.
pub fn everything_stopped() -> StatusText {
    StatusText::stack_wide(StatusTone::Notice, "everything stopped")
}

/// Reports that processes of the stack may still be running.
pub fn unproved() -> StatusText {
    let text = "cannot verify that all processes of the stack have exited\nhelp: check with `ps -ef`; a leftover process may still be using a port (see `devstack ports`)";
    StatusText::stack_wide(StatusTone::Failure, text)
}

/// Reports that containers of the stack may still be there.
pub fn containers_left(why: &str) -> StatusText {
    let text = format!(
        "cannot remove the containers of the stack: {why}\nhelp: start the engine, then run `devstack down`"
    );
    StatusText::stack_wide(StatusTone::Failure, text)
}

/// Reports that a second signal kills what a first one asked to stop.
pub fn killing(signal: &str) -> StatusText {
    StatusText::stack_wide(StatusTone::Notice, format!("killing: {signal} again"))
}

/// Reports that the last processes take long to exit.
pub fn still_waiting() -> StatusText {
    let text = "still waiting for the last processes to exit";
    StatusText::stack_wide(StatusTone::Notice, text)
}

/// Reports that the loop panicked.
pub fn panicked() -> StatusText {
    let text = "internal error: devstack panicked; stopping the stack\nhelp: please report it, with the lines on stderr";
    StatusText::stack_wide(StatusTone::Failure, text)
}

/// Reports that the configuration is valid again and otherwise unchanged.
pub fn config_fixed() -> StatusText {
    StatusText::stack_wide(StatusTone::Good, "configuration is valid again; nothing changed")
}

/// Reports that the project directory has another path now.
pub fn directory_moved(dir: &Path) -> StatusText {
    let text = format!("the project directory is now {}; services keep running", DisplayPath(dir));
    StatusText::stack_wide(StatusTone::Good, text)
}

/// Reports a problem of the stack as a whole.
pub fn stack_problem(message: &Message) -> StatusText {
    StatusText::stack_wide(StatusTone::Failure, message.render().trim_end())
}

/// Reports a valid edit that is not applied.
pub fn config_not_applied() -> StatusText {
    let text = "configuration changed but not applied (`live = false`)\nhelp: run `devstack plan` to see the changes, or set `live = true` to apply them";
    StatusText::stack_wide(StatusTone::Notice, text)
}

/// Reports that the configuration matches the running stack again.
pub fn config_matches() -> StatusText {
    StatusText::stack_wide(StatusTone::Good, "configuration matches the running stack again")
}

/// Reports whether edits are applied from now on.
pub fn live(live: bool) -> StatusText {
    StatusText::stack_wide(
        StatusTone::Notice,
        match live {
            true => "configuration changes are applied again (`live = true`)",
            false => "configuration changes are no longer applied (`live = false`)",
        },
    )
}

/// Formats an applied plan: one line per change, and the number of unchanged services.
fn applied(plan: &Plan) -> String {
    let keeps = match plan.unchanged.len() {
        0 => String::new(),
        1 => "; 1 service unchanged".to_owned(),
        many => format!("; {many} services unchanged"),
    };
    let lines: String = plan.lines().iter().map(|line| format!("\n  {line}")).collect();
    format!("applied the new configuration{keeps}{lines}")
}

/// Returns the status lines for `event`. `snapshot` is the state after it, `stack` the desired one,
/// `tail` the log lines to show.
pub fn event_lines(
    event: &Event,
    snapshot: &Snapshot,
    stack: &Stack,
    tail: &[String],
) -> Vec<StatusText> {
    let line = |tone, text: String| {
        vec![StatusText { service: event.service.clone(), tone, text, more: false }]
    };
    match &event.what {
        // Not requested, or already reported.
        EventKind::Phase { from: None, to: Phase::Idle, cause: Cause::NotAsked, .. }
        | EventKind::ServiceRemoved => Vec::new(),
        EventKind::Phase { from, to, cause, run: _ } => match &event.service {
            Some(name) => PhaseLines { name, snapshot, stack, tail }.phase(*from, *to, cause),
            None => Vec::new(),
        },
        // The following phase reports how it ended.
        EventKind::Ended { .. } => Vec::new(),
        EventKind::BuildStarted { command, path } => {
            let (command, path) = (command_summary(command), short(path, stack));
            line(StatusTone::Plain, format!("running `{command}`: {path} changed"))
        }
        EventKind::Built { command, took: time } => {
            let took = format_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            line(StatusTone::Good, format!("`{}` succeeded in {took}", command_summary(command)))
        }
        EventKind::Signalled { signal, path } => {
            let name =
                signal_name(*signal).map_or_else(|| signal.to_string(), |n| format!("SIG{n}"));
            line(StatusTone::Plain, format!("sent {name}: {} changed", short(path, stack)))
        }
        EventKind::ActionStarted { action } => {
            line(StatusTone::Plain, format!("running action {action}"))
        }
        EventKind::ActionEnded { action, exit, cause, took, left } => {
            let (tone, mut text) = match (exit, cause) {
                (Ok(exit), Some(cause)) => {
                    (StatusTone::Notice, format!("action {action} ended ({exit}): {cause}"))
                }
                (Ok(ProcessExit::Code(0)), None) => {
                    let took = format_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
                    (StatusTone::Good, format!("action {action} succeeded in {took}"))
                }
                (Ok(exit), None) => {
                    (StatusTone::Failure, format!("action {action} failed ({exit})"))
                }
                (Err(why), _) if why.class == MessageClass::StopTimeout => {
                    (StatusTone::Failure, with_help(why))
                }
                (Err(why), _) => (
                    StatusTone::Failure,
                    with_help(&Message {
                        text: format!("action {action} could not start: {}", why.text),
                        ..why.clone()
                    }),
                ),
            };
            if !left.is_empty() {
                text += &format!(
                    "\nit left {} running, which was killed: start what should go on as a service",
                    left.join(", ")
                );
            }
            line(tone, text)
        }
        EventKind::Note(message) if message.class == MessageClass::Build => {
            // The output of the command is in the log, right above.
            let text = message.text.lines().next().unwrap_or_default().to_owned();
            line(StatusTone::Failure, with_help(&Message { text, ..message.clone() }))
        }
        EventKind::Note(message) => line(StatusTone::Warning, with_help(message)),
        EventKind::DebuggerListening(place) => line(StatusTone::Good, format!("debug   {place}")),
        EventKind::Settled { well: _ } => startup_summary(snapshot, stack),
        EventKind::Applied(plan) => line(StatusTone::Notice, applied(plan)),
        EventKind::NothingRuns(what) => line(StatusTone::Notice, what.clone()),
        EventKind::ShuttingDown(why) => line(StatusTone::Notice, format!("stopping: {why}")),
    }
}

/// A service whose phase changed, with the context for its status lines.
struct PhaseLines<'a> {
    name: &'a Name,
    snapshot: &'a Snapshot,
    stack: &'a Stack,
    tail: &'a [String],
}

impl PhaseLines<'_> {
    fn phase(&self, from: Option<Phase>, to: Phase, cause: &Cause) -> Vec<StatusText> {
        match to {
            Phase::Idle => self.idle(cause),
            // The summary of the start says it.
            Phase::Asleep if from.is_none() => Vec::new(),
            Phase::Asleep => self.asleep(),
            Phase::Waiting => self.waiting(cause),
            Phase::Blocked => self.say(StatusTone::Warning, format!("blocked: {cause}")),
            Phase::Starting => self.starting(from, cause),
            Phase::Ready => self.ready(cause),
            Phase::Unhealthy if is_late(cause) => {
                self.failure(StatusTone::Warning, cause.to_string(), cause)
            }
            Phase::Unhealthy => {
                self.failure(StatusTone::Warning, format!("unhealthy: {cause}"), cause)
            }
            Phase::Stopping => self.stopping(cause),
            Phase::Backoff => self.failure(StatusTone::Warning, cause.to_string(), cause),
            Phase::Done => self.done(cause),
            Phase::Failed => self.failure(StatusTone::Failure, format!("failed: {cause}"), cause),
        }
    }

    fn say(&self, tone: StatusTone, text: impl Into<String>) -> Vec<StatusText> {
        vec![StatusText::about(self.name, tone, text)]
    }

    fn view(&self) -> Option<&ServiceView> {
        self.snapshot.services.iter().find(|view| view.name == *self.name)
    }

    fn idle(&self, cause: &Cause) -> Vec<StatusText> {
        if matches!(cause, Cause::Shutdown(_)) {
            return Vec::new();
        }
        self.say(StatusTone::Plain, "stopped")
    }

    fn asleep(&self) -> Vec<StatusText> {
        let service = self.stack.services.get(self.name);
        let url = service.and_then(|service| service.url()).unwrap_or_default();
        let text = format!("asleep, starts with the first connection to {url}");
        self.say(StatusTone::Plain, text)
    }

    fn waiting(&self, cause: &Cause) -> Vec<StatusText> {
        match cause {
            Cause::PortLost(message) => self.say(StatusTone::Warning, message.text.clone()),
            _ => Vec::new(),
        }
    }

    fn starting(&self, from: Option<Phase>, cause: &Cause) -> Vec<StatusText> {
        if matches!(cause, Cause::Spawned { .. }) {
            // Already reported when the start was ordered.
            return Vec::new();
        }
        let mut text = "starting".to_owned();
        let ports = self.stack.services.get(self.name).map_or(Vec::new(), |service| {
            service.ports.iter().filter(|port| !service.is_inner(port)).collect()
        });
        match ports.as_slice() {
            [] => {}
            [port] if port.name == DEBUG_PORT => text += &format!(" on debug port {}", port.number),
            [port] => text += &format!(" on port {}", port.number),
            ports => {
                let each: Vec<String> =
                    ports.iter().map(|port| format!("{} {}", port.name, port.number)).collect();
                text += &format!(" on ports {}", each.join(", "));
            }
        }
        // Only once: every restart would repeat it.
        let first = matches!(cause, Cause::PortLost(_))
            || self.view().is_none_or(|view| view.restarts == 0);
        let moved: Vec<&str> = ports.iter().filter_map(|port| port.moved.as_deref()).collect();
        if first && !moved.is_empty() {
            text += &format!(": {}", moved.join("; "));
        }
        if let Cause::PortReservationDropped(how) = cause {
            text += &format!(": {how}");
        }
        if *cause == Cause::Connected {
            text += &format!(": {cause}");
        }
        // A preceding stop has already named the file.
        if let Cause::FileChanged(path) = cause
            && from != Some(Phase::Stopping)
        {
            text += &format!(": {} changed", self.short(path));
        }
        self.say(StatusTone::Plain, text)
    }

    fn ready(&self, cause: &Cause) -> Vec<StatusText> {
        match cause {
            // Its start was reported, and nothing more is known.
            Cause::NoProbe => return Vec::new(),
            // It was ready all the time.
            Cause::HealthRecovered | Cause::ConfigChanged(_) => {
                return self.say(StatusTone::Good, cause.to_string());
            }
            _ => {}
        }
        let mut text = "ready".to_owned();
        if let Some(view) = self.view() {
            text += &view
                .ready_after_ms
                .map_or(String::new(), |ms| format!(" in {}", format_millis(ms)));
            text += &view.url.as_ref().map_or(String::new(), |url| format!(" at {url}"));
        }
        self.say(StatusTone::Good, text)
    }

    fn stopping(&self, cause: &Cause) -> Vec<StatusText> {
        match cause {
            // Reported for the whole stack, or by the following phase.
            Cause::Shutdown(_) | Cause::Exited(_) => Vec::new(),
            // The waiting phase that follows names the process that took the port.
            Cause::PortLost(_) => self.say(StatusTone::Plain, "stopping: its port was taken"),
            Cause::FileChanged(path) => {
                self.say(StatusTone::Plain, format!("restarting: {} changed", self.short(path)))
            }
            Cause::ConfigChanged(what) => {
                self.say(StatusTone::Plain, format!("restarting: {what}"))
            }
            Cause::Requested("restart") => self.say(StatusTone::Plain, "restarting"),
            Cause::Requested(_) => self.say(StatusTone::Plain, "stopping"),
            other => self.say(StatusTone::Plain, format!("stopping: {other}")),
        }
    }

    fn done(&self, cause: &Cause) -> Vec<StatusText> {
        let task = self.view().is_some_and(|view| view.kind.is_task());
        match task {
            true => self.say(StatusTone::Good, "completed"),
            false => self.say(StatusTone::Plain, format!("done: {cause}")),
        }
    }

    /// Reports what went wrong, the last log lines, and what to do.
    fn failure(&self, tone: StatusTone, mut text: String, cause: &Cause) -> Vec<StatusText> {
        let message = match cause {
            Cause::Failed(message) | Cause::PortLingers(message) => Some(message),
            _ => None,
        };
        text.extend(self.tail.iter().map(|line| format!("\n{EXCERPT}{line}")));
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

/// Whether a service is only not ready yet.
fn is_late(cause: &Cause) -> bool {
    matches!(cause, Cause::Failed(message) if message.class == MessageClass::ReadyTimeout)
}

/// Shows a path relative to the directory of the stack.
fn short(path: &Path, stack: &Stack) -> String {
    DisplayPath(path.strip_prefix(&stack.dir).unwrap_or(path)).to_string()
}

/// Returns whether the last log lines add anything: not if the service never ran, nor to what the
/// kernel keeps from ending.
fn has_lines(message: &Message) -> bool {
    !matches!(
        message.class,
        MessageClass::Spawn
            | MessageClass::DepFailed
            | MessageClass::Port
            | MessageClass::Config
            | MessageClass::StopTimeout
    )
}

fn with_help(message: &Message) -> String {
    match message.help.as_str() {
        "" => message.text.clone(),
        help => format!("{}\nhelp: {help}", message.text),
    }
}

#[cfg(test)]
mod tests;
