//! The words of the engine's failures and notices, and the commands they suggest.

use super::failure::{RequestError, ServiceFailure, ServiceNotice};
use crate::model::{Dependency, DisplayDuration, Message, MessageClass, Name, ProcessExit};

/// ``run `devstack start api` ``
pub(super) fn run_start(service: &Name) -> String {
    format!("run `devstack start {service}`")
}

/// ``run `devstack restart api` ``
pub(super) fn run_restart(service: &Name) -> String {
    format!("run `devstack restart {service}`")
}

/// ``run `devstack stop api` again to kill it``
pub(super) fn run_stop_again(service: &Name) -> String {
    format!("run `devstack stop {service}` again to kill it")
}

/// `api exited (exit 1)`, a reason to shut the stack down.
pub(super) fn exited(service: &Name, exit: ProcessExit) -> String {
    format!("{service} exited ({exit})")
}

fn dependency(on: &Dependency, what: &str) -> Message {
    let text = format!("dependency {} ({}) {what}", on.service, on.condition);
    Message::new(MessageClass::DepFailed, text)
}

impl ServiceFailure {
    /// Returns the message about `service`.
    pub fn message(&self, service: &Name) -> Message {
        let fix = |name: &Name| {
            let restart = run_restart(name);
            format!("fix {name}; this service then starts automatically, or {restart}")
        };
        match self {
            ServiceFailure::NotStarted(message) => message.clone(),
            ServiceFailure::NotReady { limit, last } => {
                let last = last.as_deref().unwrap_or("no probe result yet");
                let text = format!("not ready within {}: {last}", DisplayDuration(*limit));
                Message::new(MessageClass::ReadyTimeout, text).help(
                    "raise `ready.timeout` if it needs longer; it keeps running and is still probed",
                )
            }
            ServiceFailure::Exited(exit) => {
                let text = match exit {
                    ProcessExit::Code(code) => format!("exited with code {code}"),
                    ProcessExit::Signal(_) => format!("killed by {exit}"),
                };
                Message::new(MessageClass::Exit, text)
            }
            ServiceFailure::CrashLoop { exits, window, last } => {
                let window = DisplayDuration(*window);
                let text = format!("exited {exits} times within {window}; last: {last}");
                let restart = run_restart(service);
                Message::new(MessageClass::CrashLoop, text).help(format!(
                    "fix it; a change to a watched file or to its config restarts it, or {restart}"
                ))
            }
            ServiceFailure::Unhealthy(why) => Message::new(MessageClass::Unhealthy, why.clone()),
            ServiceFailure::PortsLost { times, last } => {
                let text = format!(
                    "lost its port to another process {times} times in a row; last: {last}"
                );
                let restart = run_restart(service);
                Message::new(MessageClass::Port, text)
                    .help(format!("stop the processes that take its port, then {restart}"))
            }
            ServiceFailure::DependencyFailed { on, root } => {
                let verb = match **root {
                    ServiceFailure::NotReady { .. } => "timed out",
                    _ => "failed",
                };
                let what = format!("{verb}: {}", root.message(&on.service).text);
                dependency(on, &what).help(fix(&on.service))
            }
            ServiceFailure::DependencyExited { on, exit } => {
                dependency(on, &format!("exited ({exit})")).help(fix(&on.service))
            }
            ServiceFailure::DependencyStopped(on) => {
                let start = run_start(&on.service);
                dependency(on, "was stopped")
                    .help(format!("{start}; its dependents then start automatically"))
            }
        }
    }
}

impl RequestError {
    /// Returns the message for the client.
    pub fn message(&self) -> Message {
        let will_not_start = |name: &Name, what: &str| {
            let text = format!("{name} {what} and will not start");
            Message::new(MessageClass::NotRunning, text).help(run_start(name))
        };
        match self {
            RequestError::UnknownService { name, available } => {
                let available: Vec<&str> = available.iter().map(Name::as_str).collect();
                Message::new(MessageClass::Usage, format!("unknown service `{name}`"))
                    .help(format!("available services: {}", available.join(", ")))
            }
            RequestError::ShuttingDown => {
                Message::new(MessageClass::NotRunning, "the stack is stopping")
            }
            RequestError::RemovedMeanwhile(name) => {
                let text = format!("{name} was removed from the configuration");
                Message::new(MessageClass::Busy, text)
            }
            RequestError::StartedMeanwhile(name) => {
                let text = format!("{name} was started again before it stopped");
                Message::new(MessageClass::Busy, text)
            }
            RequestError::StoppedMeanwhile(name) => {
                let text = format!("{name} was stopped before it was ready");
                Message::new(MessageClass::Busy, text)
            }
            RequestError::Failed(name, failure) => failure.message(name),
            RequestError::WaitFailed(name, failure) => {
                let what = match failure {
                    ServiceFailure::DependencyFailed { .. }
                    | ServiceFailure::DependencyExited { .. }
                    | ServiceFailure::DependencyStopped(_) => "cannot start",
                    ServiceFailure::NotReady { .. } => "timed out",
                    _ => "failed",
                };
                let why = failure.message(name);
                Message { text: format!("{name} {what}: {}", why.text), ..why }
            }
            RequestError::Gone { name, renamed_to } => {
                let text = match renamed_to {
                    Some(heir) => format!("{name} was renamed to {heir} in the configuration"),
                    None => format!("{name} was removed from the configuration"),
                };
                Message::new(MessageClass::NotRunning, text)
            }
            RequestError::NotRequested(name) => will_not_start(name, "is not running"),
            RequestError::Stopped(name) => will_not_start(name, "was stopped"),
            RequestError::NeverReady(name, exit) => {
                let text = format!("{} and will not become ready", exited(name, *exit));
                Message::new(MessageClass::Exit, text).help(run_restart(name))
            }
            RequestError::NeverCompletes(name) => {
                let text =
                    format!("{name} never completes: it restarts whenever it exits (`restart`)");
                Message::new(MessageClass::Usage, text)
            }
        }
    }
}

impl ServiceNotice {
    /// Returns the message about `service`.
    pub fn message(&self, service: &Name) -> Message {
        match self {
            ServiceNotice::Killing { grace } => {
                let grace = DisplayDuration(*grace);
                let text = format!("{service} did not stop within {grace}; killing it");
                Message::new(MessageClass::StopTimeout, text)
                    .help("adjust `stop.grace` (the limit) or `stop.signal`")
            }
            ServiceNotice::SlowStop { grace, in_shutdown } => {
                let grace = DisplayDuration(*grace);
                let text = format!(
                    "{service} did not stop within {grace}: it is being debugged and may be paused at a breakpoint"
                );
                let again = match in_shutdown {
                    true => "press Ctrl-C again to kill it".to_owned(),
                    false => run_stop_again(service),
                };
                Message::new(MessageClass::StopTimeout, text)
                    .help(format!("continue it in the debugger, or {again}"))
            }
            ServiceNotice::ChangeDeferred { path } => {
                let text =
                    format!("restart postponed: {path} changed while {service} is being debugged");
                Message::new(MessageClass::WatchDegraded, text)
                    .help(format!("{} to apply the change", run_restart(service)))
            }
            ServiceNotice::NoDebugger { address, limit } => {
                let limit = DisplayDuration(*limit);
                let text = format!("in debug mode, but not listening on {address} after {limit}");
                Message::new(MessageClass::Port, text)
                    .help("have `debug.command` start a debugger on $DEBUG_HOST:$DEBUG_PORT")
            }
            ServiceNotice::LoopSuspected { files } => {
                let text = format!(
                    "{} changed repeatedly, each time right after {service} started",
                    files.join(", ")
                );
                Message::new(MessageClass::WatchDegraded, text).help(exclude(service, files))
            }
            ServiceNotice::WatchPaused { files, summary } => {
                let text = format!(
                    "file watching for {service} is paused: {} changed {summary}",
                    files.join(", ")
                );
                Message::new(MessageClass::WatchDegraded, text).help(format!(
                    "{}; to resume, change another file or {}",
                    exclude(service, files),
                    run_restart(service)
                ))
            }
        }
    }
}

fn exclude(service: &Name, files: &[String]) -> String {
    let globs: Vec<String> = files.iter().map(|file| format!("{file:?}")).collect();
    format!(
        "if {service} writes these files itself, exclude them from `watch`: ignore = [{}]",
        globs.join(", ")
    )
}
