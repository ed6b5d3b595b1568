//! The words of the engine's failures and notices, and the commands they suggest.

use super::failure::{RequestError, ServiceFailure, ServiceNotice, TreeOf};
use crate::model::{
    Dependency, DisplayDuration, Message, MessageClass, Name, ProcessExit, Survivor, SurvivorState,
};

/// ``run `devstack start api` ``
pub(super) fn run_start(service: &Name) -> String {
    format!("run `devstack start {service}`")
}

/// ``run `devstack restart api` ``
pub(super) fn run_restart(service: &Name) -> String {
    format!("run `devstack restart {service}`")
}

/// Begins the help of a failure that the user can fix; how to start the service again follows.
pub(super) const FIX_IT: &str = "fix it, then";

/// ``run `devstack stop api` again to kill it``
pub(super) fn run_stop_again(service: &Name) -> String {
    format!("run `devstack stop {service}` again to kill it")
}

/// `stopped db; api depends on it and keeps running`
pub(super) fn stopped(stopped: &[Name], dependents: &[Name]) -> String {
    let list = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    let text = format!("stopped {}", list(stopped));
    let it = if stopped.len() == 1 { "it" } else { "them" };
    match dependents {
        [] => text,
        [one] => format!("{text}; {one} depends on {it} and keeps running"),
        _ => format!("{text}; {} depend on {it} and keep running", list(dependents)),
    }
}

/// `api exited (exit 1)`, a reason to shut the stack down.
pub(super) fn exited(service: &Name, exit: ProcessExit) -> String {
    format!("{service} exited ({exit})")
}

/// Closed connections keep a port that a service needs.
pub(super) fn port_lingers(port: u16) -> Message {
    let text = format!(
        "waiting for port {port}: closed connections keep it for up to 60s, because the server \
         binds without SO_REUSEADDR"
    );
    Message::new(MessageClass::Port, text).help(
        "set SO_REUSEADDR to restart at once, such as `allow_reuse_address = True` in a \
         socketserver.TCPServer",
    )
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
            ServiceFailure::Unstoppable { tree, survivors } => {
                let whose = match tree {
                    TreeOf::Service => "",
                    TreeOf::WatchCommand => "its watch command ",
                };
                unstoppable(whose, survivors)
            }
            ServiceFailure::NotStarted(message) => message.clone(),
            ServiceFailure::NotReady { limit, last, elsewhere } => {
                let (why, help) = match elsewhere {
                    Some(warning) => (warning.text.as_str(), warning.help.as_str()),
                    None => (
                        last.as_deref().unwrap_or("no probe result yet"),
                        "raise `ready.timeout` if it needs longer; it keeps running and is still probed",
                    ),
                };
                let text = format!("not ready yet after {}: {why}", DisplayDuration(*limit));
                Message::new(MessageClass::ReadyTimeout, text).help(help)
            }
            ServiceFailure::Exited(exit) => {
                let text = match exit {
                    ProcessExit::Code(code) => format!("exited with code {code}"),
                    ProcessExit::Signal(_) => format!("killed by {exit}"),
                };
                Message::new(MessageClass::Exit, text)
            }
            ServiceFailure::CommandNotFound => {
                let text = "exited with code 127: command not found";
                let restart = run_restart(service);
                Message::new(MessageClass::Exit, text)
                    .help(format!("install what is missing or fix `command`, then {restart}"))
            }
            ServiceFailure::CrashLoop { exits, window, last } => {
                let window = DisplayDuration(*window);
                let text = format!("exited {exits} times within {window}; last: {last}");
                let restart = run_restart(service);
                Message::new(MessageClass::CrashLoop, text).help(format!("{FIX_IT} {restart}"))
            }
            ServiceFailure::BrokenByChange { change, exits, last } => {
                let text = format!("exited {exits} times since {change}; last: {last}");
                let restart = run_restart(service);
                Message::new(MessageClass::CrashLoop, text)
                    .help(format!("fix it and save to start it again, or {restart}"))
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
            ServiceFailure::DependencyRestarts { on, exit } => {
                dependency(on, &format!("exited ({exit}) and starts again")).help(fix(&on.service))
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

/// How many survivors a message names.
const NAMED: usize = 3;

/// SIGKILL did not end this; `whose` comes before `cannot be killed`.
pub fn unstoppable(whose: &str, left: &[Survivor]) -> Message {
    let each = left.iter().take(NAMED).map(|survivor| {
        let Survivor { pid, command, state } = survivor;
        format!("{command} (pid {pid}) {}", blocker(state))
    });
    let each = each.collect::<Vec<_>>().join(", ");
    let what = match left.len() {
        0 => "its end was not reported within 5s of SIGKILL".to_owned(),
        1..=NAMED => each,
        count => format!("{each}, and {} more", count - NAMED),
    };
    let help = match left.first().map(|one| (&one.state, one.pid)) {
        Some((SurvivorState::Frozen(file), _)) => {
            let thaw = if file.ends_with("freezer.state") { "THAWED" } else { "0" };
            format!("thaw it with `echo {thaw} > {}`", file.display())
        }
        Some((SurvivorState::Stopped, pid)) => format!("continue it with `kill -CONT {pid}`"),
        Some((SurvivorState::Uninterruptible, _)) => {
            "check the disk, network mount or device that it waits for; only that can end it"
                .to_owned()
        }
        Some((SurvivorState::Other(_), pid)) => format!("inspect it with `ps -fp {pid}`"),
        None => "look for its processes with `ps -ef`".to_owned(),
    };
    Message::new(MessageClass::StopTimeout, format!("{whose}cannot be killed: {what}")).help(help)
}

/// `is frozen by its cgroup`
fn blocker(state: &SurvivorState) -> String {
    match state {
        SurvivorState::Uninterruptible => {
            "waits in the kernel for a device or file system (state D)".to_owned()
        }
        SurvivorState::Stopped => "is stopped (state T)".to_owned(),
        SurvivorState::Frozen(_) => "is frozen by its cgroup".to_owned(),
        SurvivorState::Other(Some(letter)) => format!("is still there (state {letter})"),
        SurvivorState::Other(None) => "is still there".to_owned(),
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
            RequestError::StartWhileStopping => {
                Message::new(MessageClass::Busy, "the stack is stopping")
                    .help("run `devstack up` once it has stopped")
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
            RequestError::NotStopped(left) => {
                let each = left.iter().map(|(name, failure)| (name, failure.message(name)));
                let each: Vec<(&Name, Message)> = each.collect();
                let text = each.iter().map(|(name, why)| format!("{name}: {}", why.text));
                let text = text.collect::<Vec<_>>().join("; ");
                let help = each.first().map_or("", |(_, why)| why.help.as_str());
                Message::new(MessageClass::StopTimeout, text).help(help)
            }
            RequestError::NotRestarted { name, blocker, failure } => {
                let why = failure.message(name);
                let text = format!("{name} keeps running and is not restarted: {}", why.text);
                Message::new(why.class, text)
                    .help(format!("{FIX_IT} run `devstack restart {blocker} {name}`"))
            }
            RequestError::WaitFailed(name, failure) => {
                let what = match failure {
                    ServiceFailure::DependencyFailed { .. }
                    | ServiceFailure::DependencyRestarts { .. }
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
            RequestError::Asleep(name) => will_not_start(name, "is asleep"),
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
            ServiceNotice::RestartHeld { failure } => {
                let why = failure.message(service);
                let text = format!("keeps running, restart postponed: {}", why.text);
                Message::new(MessageClass::WatchDegraded, text)
                    .help("it restarts automatically once the dependency is back")
            }
            ServiceNotice::NoDebugger { address, limit } => {
                let limit = DisplayDuration(*limit);
                let text = format!("in debug mode, but not listening on {address} after {limit}");
                Message::new(MessageClass::Port, text)
                    .help("have `debug.command` start a debugger on $DEBUG_HOST:$DEBUG_PORT")
            }
            ServiceNotice::WatchPaused { files, summary } => {
                let text = format!(
                    "file watching for {service} is paused: {} changed {summary}",
                    files.join(", ")
                );
                Message::new(MessageClass::WatchDegraded, text).help(format!(
                    "{}; to resume, {}",
                    exclude(service, files),
                    run_restart(service)
                ))
            }
            ServiceNotice::EnvPaused { variables, summary } => {
                let variables = variables.join(", ");
                let text = format!(
                    "changes to the environment of {service} no longer restart it: {variables} changed {summary}"
                );
                Message::new(MessageClass::WatchDegraded, text).help(format!(
                    "if {service} writes its `env_file` itself, have it write another file; to resume, {}",
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
