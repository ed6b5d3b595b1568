use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::args;
use super::launch::{self, Launched, Plan};
use crate::error::{exit, shown};
use crate::model::{Class, Exit, Message, Name, Phase, Policy, Snapshot, Stack, StackState};
use crate::runtime::ending::Ender;
use crate::runtime::handle::Handle;

/// How long the command may take to end after it was told to.
const GRACE: Duration = Duration::from_secs(5);

/// `devstack run -- CMD`: start, wait until ready, run the command, stop everything, its code.
pub(super) fn run(files: Vec<std::path::PathBuf>, args: args::Run) -> i32 {
    let plan = Plan {
        files,
        starting: args.starting,
        services: args.services,
        strict_ports: !args.no_strict_ports,
        follow: false,
        timestamps: false,
        to_stderr: true,
        adapt: never_again,
    };
    let command = args.command;
    launch::launch(plan, |launched| async move {
        let Launched { supervisor, handle, stack, timeout, .. } = launched;
        let smoke =
            Smoke { command, handle, stack, state: supervisor.state(), ender: supervisor.ender() };
        let smoke = tokio::spawn(smoke.run(timeout));
        let code = supervisor.run().await;
        // The stack has ended, so the command has been told to end, too; its task is bounded.
        match smoke.await {
            Ok(Some(own)) if code == exit::OK => own,
            Ok(_) | Err(_) => code,
        }
    })
}

/// A service that dies during a smoke run is a finding, not something to hide with a restart.
fn never_again(stack: &mut Stack) {
    for service in stack.services.values_mut() {
        Arc::make_mut(service).restart.policy = Policy::No;
    }
}

struct Smoke {
    command: Vec<OsString>,
    handle: Handle,
    stack: Arc<Stack>,
    state: watch::Receiver<StackState>,
    ender: Ender,
}

impl Smoke {
    /// Ends the stack when it is done. `None`: the stack was ended by somebody else.
    async fn run(mut self, timeout: Option<Duration>) -> Option<i32> {
        let limit = async {
            match timeout {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(limit);
        let state = tokio::select! {
            state = standing(&mut self.state) => state,
            () = &mut limit => return self.too_late(timeout).await,
        };
        match state {
            StackState::Up => {}
            StackState::Degraded => {
                let (why, code) = failure(&self.handle.snapshot());
                self.ender.end(why, code);
                return Some(code);
            }
            StackState::Starting | StackState::Stopping | StackState::Stopped => return None,
        }
        let child = match self.spawn() {
            Ok(child) => child,
            Err((message, code)) => {
                eprint!("{}", shown(&message));
                self.ender.end(message.text, code);
                return Some(code);
            }
        };
        self.attend(child, timeout, limit).await
    }

    async fn too_late(self, timeout: Option<Duration>) -> Option<i32> {
        let waiting: Vec<String> = not_ready(&self.handle.snapshot());
        let time = crate::model::Span(timeout.unwrap_or_default());
        let why = format!("not ready within {time}: {}", waiting.join("; "));
        self.ender.end(why, exit::RUN_NOT_READY);
        Some(exit::RUN_NOT_READY)
    }

    fn spawn(&self) -> Result<Child, (Message, i32)> {
        let program = &self.command[0];
        #[expect(
            clippy::disallowed_methods,
            reason = "the command of `run` is the user's own foreground program, not a run"
        )]
        let mut command = Command::new(program);
        command.args(&self.command[1..]).envs(variables(&self.stack));
        command.stdin(Stdio::inherit()).kill_on_drop(true);
        command.spawn().map_err(|error| {
            let name = program.to_string_lossy();
            let (text, code) = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    (format!("there is no command `{name}`"), exit::RUN_NOT_FOUND)
                }
                _ => (format!("cannot execute `{name}`: {error}"), exit::RUN_NOT_EXECUTABLE),
            };
            (Message::new(Class::Spawn, text).help("`run` starts what stands after `--`"), code)
        })
    }

    /// Waits for the command, and looks after the stack meanwhile.
    async fn attend(
        mut self,
        mut child: Child,
        timeout: Option<Duration>,
        limit: impl Future<Output = ()>,
    ) -> Option<i32> {
        tokio::pin!(limit);
        let mut died = Vec::new();
        loop {
            tokio::select! {
                status = child.wait() => return Some(self.finished(status, &died)),
                () = &mut limit => {
                    stop(&mut child).await;
                    let time = crate::model::Span(timeout.unwrap_or_default());
                    self.ender.end(format!("the command did not end within {time}"), exit::RUN_TIMEOUT);
                    return Some(exit::RUN_TIMEOUT);
                }
                changed = self.state.changed() => {
                    let state = *self.state.borrow_and_update();
                    match state {
                        StackState::Stopping | StackState::Stopped => {
                            stop(&mut child).await;
                            return None;
                        }
                        StackState::Degraded => died = failed(&self.handle.snapshot()),
                        StackState::Starting | StackState::Up => {}
                    }
                    if changed.is_err() {
                        stop(&mut child).await;
                        return None;
                    }
                }
            }
        }
    }

    fn finished(&self, status: std::io::Result<ExitStatus>, died: &[Name]) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        let code = status.map_or(exit::FAILED, |status| match (status.code(), status.signal()) {
            (Some(code), _) => code,
            (None, signal) => Exit::Signal(signal.unwrap_or(0)).shell_code(),
        });
        let (why, code) = match (code, died) {
            (0, []) => ("the command ended with 0".to_owned(), 0),
            (0, died) => {
                let names: Vec<&str> = died.iter().map(Name::as_str).collect();
                let why = format!("the command ended with 0, but {} died", names.join(", "));
                (why, exit::RUN_SERVICE_DIED)
            }
            (code, _) => (format!("the command ended with {code}"), code),
        };
        self.ender.end(why, code);
        code
    }
}

/// Waits until the start is over, one way or the other.
async fn standing(state: &mut watch::Receiver<StackState>) -> StackState {
    match state.wait_for(|state| *state != StackState::Starting).await {
        Ok(state) => *state,
        Err(_) => StackState::Stopped,
    }
}

/// Asks the command to end, and makes it.
async fn stop(child: &mut Child) {
    if let Some(pid) = child.id() {
        crate::runtime::process::terminate(pid);
    }
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        // It may have ended in this moment.
        let _ = child.kill().await;
    }
}

/// The reason why a start did not succeed, and the code for it.
fn failure(snapshot: &Snapshot) -> (String, i32) {
    let late = snapshot.services.iter().find(|service| service.phase == Phase::Unhealthy);
    let failed = snapshot.services.iter().filter(|service| service.phase == Phase::Failed);
    let root = failed.clone().find(|service| {
        service.message.as_ref().is_none_or(|message| message.class != Class::DepFailed)
    });
    match (root, late) {
        (Some(service), _) => (
            format!("{} failed before it was ready: {}", service.name, service.cause),
            exit::RUN_FAILED_BEFORE_READY,
        ),
        (None, Some(service)) => {
            (format!("{}: {}", service.name, service.cause), exit::RUN_NOT_READY)
        }
        (None, None) => ("the stack failed".to_owned(), exit::RUN_FAILED_BEFORE_READY),
    }
}

fn failed(snapshot: &Snapshot) -> Vec<Name> {
    let failed = snapshot.services.iter().filter(|service| service.phase == Phase::Failed);
    failed.map(|service| service.name.clone()).collect()
}

fn not_ready(snapshot: &Snapshot) -> Vec<String> {
    let open = snapshot
        .services
        .iter()
        .filter(|service| !matches!(service.phase, Phase::Ready | Phase::Done | Phase::Idle));
    open.map(|service| format!("{} is {} ({})", service.name, service.phase, service.cause))
        .collect()
}

/// Where the command finds the services.
fn variables(stack: &Stack) -> Vec<(String, String)> {
    let mut variables = vec![("DEVSTACK_STACK".to_owned(), stack.name.clone())];
    for (name, service) in &stack.services {
        let (Some(port), Some(url)) = (service.port(), service.url()) else { continue };
        let prefix = format!("DEVSTACK_{}", name.as_variable());
        variables.push((format!("{prefix}_HOST"), service.launch.host.clone()));
        variables.push((format!("{prefix}_PORT"), port.number.to_string()));
        variables.push((format!("{prefix}_URL"), url));
    }
    variables
}
