//! `up -d` where a stack already runs: makes it run what is asked for.

use std::collections::BTreeSet;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::Duration;

use super::context::{debugged, files, sources};
use super::options::StartOptions;
use super::relay::failure_summary;
use super::selection::selection;
use super::stack_request::{StackRequest, is_missing};
use super::up::not_ready_within;
use crate::cli::context;
use crate::cli::control::WaitProgress;
use crate::cli::render::{CommandError, LogRenderer, clean_stdout, warn};
use crate::config::{self, Config, DebugServices};
use crate::control::{
    AlreadyRunning, ClientError, ControlClient, InstanceLock, LineStream, RunningInstance,
};
use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass, Name, Snapshot, StackState, WaitCondition};
use crate::supervisor::SignalListener;

/// How long another stack may take from its lock to its socket; it may be asking its user.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a running stack may take to apply an edit of its files.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);

/// Waits while the stack of this directory stops, or starts without success. Returns whether it has
/// left the directory.
pub(super) fn has_left(dir: &Path, json: bool) -> bool {
    let Some(found) = InstanceLock::find(dir) else { return true };
    let Ok(runtime) = context::runtime() else { return false };
    match runtime.block_on(first_answer(&found)) {
        Ok(stack) if matches!(stack.state, StackState::Stopping | StackState::Stopped) => {
            if !json {
                warn("note: waiting for the previous stack to stop\n");
            }
            found.wait_until_ended().is_ok()
        }
        Err(ClientError::NotRunning(_)) => found.wait_until_ended().is_ok(),
        Ok(_) | Err(_) => false,
    }
}

/// Returns the state of a stack as soon as it has started.
async fn first_answer(found: &RunningInstance) -> Result<Snapshot, ClientError> {
    let client = ControlClient::of(found.clone());
    if let Ok(reached) = tokio::time::timeout(START_LIMIT, client.reachable()).await {
        reached?;
    }
    client.stack().await
}

/// Starts what is missing in the running stack and waits until all that is asked for is ready, done
/// or failed.
///
/// # Errors
/// The running stack cannot become what is asked for, or not all of it is ready.
pub(super) fn join(plan: &StartOptions, busy: &AlreadyRunning) -> Result<ExitCode, CommandError> {
    let draft = config::load(&sources(plan)?)?;
    let joining = Joining {
        request: StackRequest {
            files: files(plan)?,
            found: plan.files.is_empty(),
            watch: plan.follow,
            strict_ports: plan.strict_ports,
            host: plan.starting.host.clone().or(plan.starting.lan.then(|| "0.0.0.0".to_owned())),
            services: asked_services(plan, &draft)?,
            debugged: match plan.debug {
                Some(_) => debugged(&draft, plan.debug.as_deref())?,
                None => DebugServices::new(),
            },
            no_deps: plan.starting.no_deps,
        },
        draft,
        busy,
        json: plan.shown.is_json(),
        face: LogRenderer::new(context::log_style(false, plan.shown)),
    };
    if !joining.json {
        note_ignored_options(plan);
    }
    let dir = joining.draft.dir().to_owned();
    let runtime = context::runtime()?;
    let result = runtime.block_on(async {
        let mut signals = SignalListener::listen()?;
        let client = ControlClient::here(&dir)?;
        tokio::select! {
            result = joining.run(&client, plan.starting.timeout) => result,
            signal = signals.end() => Ok(ExitCode::of_signal(signal)),
        }
    });
    runtime.shutdown_background();
    result
}

/// Says which options have no effect, because only a new start can follow them.
pub(super) fn note_ignored_options(plan: &StartOptions) {
    for (option, is_given) in [("--timeline", plan.timeline.is_some()), ("--qr", plan.qr)] {
        if is_given {
            warn(&format!("note: `{option}` has no effect, because the stack already runs\n"));
        }
    }
}

/// Returns the services that `up` would start.
fn asked_services(plan: &StartOptions, draft: &Config) -> Result<BTreeSet<Name>, CommandError> {
    let Some(selection) = selection(draft, &plan.services, plan.starting.no_deps)? else {
        return Ok(draft.with_dependencies(draft.autostart().cloned().collect()));
    };
    let names = selection.names.iter().flat_map(|name| draft.services_named(name)).collect();
    Ok(if selection.with_dependencies { draft.with_dependencies(names) } else { names })
}

struct Joining<'a> {
    request: StackRequest,
    draft: Config,
    busy: &'a AlreadyRunning,
    json: bool,
    face: LogRenderer,
}

impl Joining<'_> {
    async fn run(
        mut self,
        client: &ControlClient,
        timeout: Option<Duration>,
    ) -> Result<ExitCode, CommandError> {
        let mut events = client.events().await.map_err(|error| self.no_answer(&error))?;
        let stack = client.stack().await.map_err(|error| self.no_answer(&error))?;
        let differences = self.request.differences(&self.draft, &stack);
        if !differences.is_empty() {
            return Err(self.refusal(&differences));
        }
        self.await_reload(client, &mut events).await?;
        let names: Vec<Name> = stack.services.iter().map(|view| view.name.clone()).collect();
        self.face.set_services(&names);
        self.say(&format!(
            "already running (pid {}); follow with `devstack logs -f`, stop with `devstack down`",
            stack.supervisor_pid
        ));
        let settle = async {
            self.start_missing(client).await?;
            self.settled(client, &mut events).await
        };
        let stack = match timeout {
            None => settle.await?,
            Some(time) => match tokio::time::timeout(time, settle).await {
                Ok(settled) => settled?,
                Err(_) => {
                    let text = not_ready_within(time, &self.request.part_of(client.stack().await?));
                    let help = "run `devstack why SERVICE` for details; the stack keeps running";
                    return Err(Message::new(MessageClass::ReadyTimeout, text).help(help).into());
                }
            },
        };
        match failure_summary(&stack) {
            None => Ok(ExitCode::OK),
            Some(message) => Err(CommandError::new(message, ExitCode::FAILED)),
        }
    }

    /// Waits until an edit that is on its way is applied.
    async fn await_reload(
        &self,
        client: &ControlClient,
        events: &mut LineStream,
    ) -> Result<(), CommandError> {
        let applied = async {
            loop {
                let plan = client.plan().await?;
                if plan.plan.is_empty() || !plan.live {
                    return Ok(plan.plan.is_empty());
                }
                next_events(events).await?;
            }
        };
        match tokio::time::timeout(RELOAD_LIMIT, applied).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => {
                Err(self.refusal(&["it does not apply changes of its files".to_owned()]))
            }
            Ok(Err(error)) => Err(self.no_answer(&error)),
            Err(_) => {
                Err(self.refusal(&["it has not applied the changes of its files".to_owned()]))
            }
        }
    }

    /// Starts what is not running and will not start on its own.
    async fn start_missing(&self, client: &ControlClient) -> Result<(), CommandError> {
        let stack = self.request.part_of(client.stack().await?);
        let missing = stack.services.iter().filter(|view| is_missing(view));
        let missing: Vec<String> = missing.map(|view| view.name.to_string()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        match client.start(&missing).await {
            // What failed is part of the result.
            Ok(_) | Err(ClientError::Refused(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the services asked for once each is ready, done or failed. Reports what is awaited.
    async fn settled(
        &self,
        client: &ControlClient,
        events: &mut LineStream,
    ) -> Result<Snapshot, CommandError> {
        let mut progress = WaitProgress::new(&[], WaitCondition::Up);
        loop {
            let stack = self.request.part_of(client.stack().await?);
            if stack.in_progress().next().is_none() {
                return Ok(stack);
            }
            if !self.json {
                for line in progress.start(&stack) {
                    warn(&(line + "\n"));
                }
            }
            next_events(events).await?;
        }
    }

    fn say(&mut self, text: &str) {
        if !self.json {
            let mut line = Vec::new();
            self.face.status_line(text, &mut line);
            // The exit code matters even if the output is closed.
            let _ = clean_stdout().write_all(&line).and_then(|()| stdout().flush());
        }
    }

    fn refusal(&self, differences: &[String]) -> CommandError {
        let busy = self.busy.message();
        let text = format!("{}, but not as requested: {}", busy.text, differences.join("; "));
        let help = "run `devstack down` first, or leave out what differs";
        CommandError::new(Message::new(MessageClass::Busy, text).help(help), ExitCode::BUSY)
    }

    /// A stack that does not answer, or in another protocol.
    fn no_answer(&self, error: &ClientError) -> CommandError {
        let mut message = self.busy.message();
        message.text = format!("{}; {}", message.text, error.message().text);
        message.help.clone_from(&error.message().help);
        CommandError::new(message, ExitCode::BUSY)
    }
}

async fn next_events(events: &mut LineStream) -> Result<(), ClientError> {
    match events.next().await? {
        Some(_) => Ok(()),
        None => {
            let text = "the stack was stopped before everything was ready";
            let message = Message::new(MessageClass::NotRunning, text);
            Err(ClientError::Refused(message.help("start it again with `devstack up -d`")))
        }
    }
}
