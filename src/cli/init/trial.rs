//! `devstack init --try`: starts the result with this program, and corrects what ignores its port.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{ConfigDraft, ImportSource};
use crate::cli::context;
use crate::cli::render::{CommandError, print, warn};
use crate::control::ControlClient;
use crate::exit_code::ExitCode;
use crate::import::{ImportedCommand, ImportedService, ImportedStack, NEED_NOT_LISTEN, ProbeTest};
use crate::model::{
    CONFIG_FILE, DisplayDuration, ListenAddress, Message, MessageClass, Phase, ServiceKindView,
    ServiceView, Snapshot,
};
use crate::ports;
use crate::presets::detect_bind_hints;
use crate::supervisor::SignalListener;
use crate::sys::signal;
use crate::text::one_line;

/// How often the stack is asked. A trial is short, and its end cannot be missed.
const INTERVAL: Duration = Duration::from_millis(200);

/// Starts the stack that was just written. While services ignore their ports, corrects the file and
/// starts it again, because some start only after others. The stack is stopped in the end, also
/// after a signal.
///
/// # Errors
/// devstack cannot be started, or the file was edited meanwhile.
pub(super) fn run_trial(
    dir: &Path,
    source: &ImportSource,
    stack: &mut ImportedStack,
) -> Result<ExitCode, CommandError> {
    let runtime = context::runtime()?;
    // It listens all the time: a signal must not leave the stack running.
    let mut signals = runtime.block_on(async { SignalListener::listen() })?;
    let mut written = stack.to_toml(source.name());
    print("trying it …\n")?;
    let mut corrections_left = stack.services.len();
    loop {
        let seen = match runtime.block_on(start_and_stop(dir, &mut signals)).map_err(not_started)? {
            TrialEnd::Seen(seen) => *seen,
            TrialEnd::Interrupted(signal) => {
                warn("note: the trial was stopped; devstack.toml is kept\n");
                return Ok(ExitCode::of_signal(signal));
            }
        };
        let corrections = match corrections_left {
            0 => Vec::new(),
            _ => correct_all(stack, &seen),
        };
        if corrections.is_empty() {
            return report(&seen);
        }
        corrections_left -= 1;
        corrections.iter().try_for_each(|line| print(&format!("{line}\n")).map(drop))?;
        let text = stack.to_toml(source.name());
        ConfigDraft::checked(dir, &text)?.replace_own(&written)?;
        written = text;
        print("trying it again …\n")?;
    }
}

fn not_started(error: io::Error) -> CommandError {
    CommandError::internal("start devstack", &error, ExitCode::FAILED)
}

/// Corrects each service that listens on a wrong port. Returns what was done.
fn correct_all(stack: &mut ImportedStack, seen: &TrialResult) -> Vec<String> {
    let services = stack.services.iter_mut();
    services.filter_map(|service| correct(service, seen.view_of(&service.name)?)).collect()
}

/// How one start of the stack ended. It is stopped by now.
#[derive(Debug)]
enum TrialEnd {
    Seen(Box<TrialResult>),
    /// By a signal with this number.
    Interrupted(i32),
}

/// What was seen of a stack before it was stopped.
#[derive(Debug)]
struct TrialResult {
    snapshot: Option<Snapshot>,
    /// Whether the start succeeded. Tasks alone leave no stack behind that could be asked.
    completed: bool,
    /// What devstack reported if nothing could start.
    errors: String,
}

impl TrialResult {
    fn view_of(&self, name: &str) -> Option<&ServiceView> {
        self.snapshot.as_ref()?.services.iter().find(|view| view.name.as_str() == name)
    }
}

/// Starts the stack in the background, waits until each service has a result or listens on a wrong
/// port, and stops it.
async fn start_and_stop(dir: &Path, signals: &mut SignalListener) -> io::Result<TrialEnd> {
    let mut up = devstack(dir, &["up", "--detach"])?;
    // Read all the time, so the pipe is never full.
    let errors = up.stderr.take().map(|mut output| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = output.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let watched = tokio::select! {
        watched = watch(dir, &mut up) => Ok(watched),
        signal = signals.end() => Err(signal),
    };
    if up.try_wait()?.is_none() {
        // `down` alone would miss a stack that has only just begun to start.
        signal::kill(up.id(), libc::SIGTERM);
    }
    let completed = up.wait()?.success();
    let errors = errors.and_then(|reader| reader.join().ok()).unwrap_or_default();
    devstack(dir, &["down"])?.wait_with_output()?;
    Ok(match watched {
        Ok(snapshot) => {
            TrialEnd::Seen(Box::new(TrialResult { snapshot: snapshot?, completed, errors }))
        }
        Err(signal) => TrialEnd::Interrupted(signal),
    })
}

/// Starts this program for the stack in `dir`. Ctrl-C does not reach it.
fn devstack(dir: &Path, args: &[&str]) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--file", CONFIG_FILE]).args(args).current_dir(dir).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
}

/// Waits for the end of the start, the first service on a wrong port, or the third crash of one. Returns
/// the last state.
async fn watch(dir: &Path, up: &mut Child) -> io::Result<Option<Snapshot>> {
    loop {
        let started = up.try_wait()?.is_some();
        let snapshot = match ControlClient::here(dir) {
            Ok(client) => client.stack().await.ok(),
            Err(_) => None,
        };
        let is_wrong = snapshot
            .as_ref()
            .is_some_and(|it| it.services.iter().any(|view| wrong_port(view).is_some()));
        if started || is_wrong || snapshot.as_ref().is_some_and(is_hopeless) {
            return Ok(snapshot);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Whether a service keeps crashing while no other one is being started.
fn is_hopeless(stack: &Snapshot) -> bool {
    let crashes = |view: &ServiceView| view.phase == Phase::Backoff && view.restarts >= 2;
    let starts = |view: &ServiceView| view.phase == Phase::Starting;
    stack.services.iter().any(crashes) && !stack.services.iter().any(starts)
}

/// Returns the port that a service listens on instead of its own.
fn wrong_port(view: &ServiceView) -> Option<u16> {
    let is_about_port = view.message.as_ref().is_some_and(|it| it.class == MessageClass::Port);
    let listening = view.listening.as_ref().filter(|_| is_about_port)?;
    let mut ports = listening.iter().filter_map(ListenAddress::tcp).map(|address| address.port());
    let own = view.port?;
    if ports.clone().any(|port| port == own) { None } else { ports.next() }
}

/// Makes a service take its port, or prefer the one that it takes anyway. Returns what was done.
fn correct(service: &mut ImportedService, view: &ServiceView) -> Option<String> {
    let port = wrong_port(view)?;
    let options = service.command.as_ref().and_then(port_options);
    let done = match (&mut service.command, options) {
        (Some(ImportedCommand::Shell(command)), Some(options)) => {
            command.push_str(&format!(" {options}"));
            format!("added `{options}` to its command")
        }
        (_, _) => {
            service.port = Some(port);
            format!("set `port = {port}`")
        }
    };
    expect_to_listen(service);
    Some(format!("{} ignores PORT and listens on {port}: {done}", service.name))
}

/// It listens, so it is ready when it does.
fn expect_to_listen(service: &mut ImportedService) {
    if service.ready.as_ref().is_some_and(|ready| ready.test == ProbeTest::Started) {
        service.ready = None;
        service.comments.retain(|comment| comment != NEED_NOT_LISTEN);
    }
}

/// Returns the options by which a simple command takes its port, unless it has them.
fn port_options(command: &ImportedCommand) -> Option<String> {
    let ImportedCommand::Shell(text) = command else { return None };
    let words = shell_words::split(text).ok()?;
    let is_simple = !text.contains(['&', '|', ';', '\n', '#', '>', '<']);
    let hints = detect_bind_hints(&words).filter(|_| is_simple && !text.contains("PORT"))?;
    let option =
        |hint: &str| hint.strip_prefix("pass ").filter(|it| it.starts_with('-')).map(str::to_owned);
    let port = option(&hints.port)?;
    let flag = port.split(' ').next().unwrap_or_default();
    if words.iter().any(|word| word.split('=').next() == Some(flag)) {
        return None;
    }
    let host = hints.host.as_deref().and_then(option).filter(|host| *host != port);
    Some(host.map_or(port.clone(), |host| format!("{port} {host}")))
}

/// Prints the result of each service; fails unless all are ready.
fn report(seen: &TrialResult) -> Result<ExitCode, CommandError> {
    let Some(snapshot) = &seen.snapshot else {
        if seen.completed {
            return print("everything has completed; start it with `devstack up`\n");
        }
        warn(&seen.errors);
        let message = Message::new(MessageClass::Exit, "the stack did not start")
            .help("fix the errors above in devstack.toml, then run `devstack up`");
        return Err(message.into());
    };
    let mut all_well = true;
    for view in &snapshot.services {
        let is_well = match view.phase {
            Phase::Ready | Phase::Idle | Phase::Asleep => true,
            // A service that has ended serves nothing.
            Phase::Done => view.kind != ServiceKindView::Service,
            _ => false,
        };
        all_well &= is_well;
        print(&format!("  {}\n", one_line(&result_of(view))))?;
        if let Some(moved) = moved_port(view) {
            print(&format!("    {}\n", one_line(&moved)))?;
        }
        if let Some(message) = view.message.as_ref().filter(|_| !is_well) {
            if !view.cause.contains(&message.text) {
                print(&format!("    {}\n", one_line(&message.text)))?;
            }
            // What helps after a crash is about a stack that is still running.
            if !message.help.is_empty() && message.class != MessageClass::Exit {
                print(&format!("    help: {}\n", message.help))?;
            }
        }
    }
    if all_well {
        return print("everything works; start it with `devstack up`\n");
    }
    let message = Message::new(MessageClass::Exit, "not everything got ready")
        .help("run `devstack logs` to see what was printed, fix it, then run `devstack up`");
    Err(message.into())
}

fn result_of(view: &ServiceView) -> String {
    match (view.phase, view.ready_after_ms, &view.url) {
        (Phase::Ready, Some(time), url) => {
            let time = DisplayDuration(Duration::from_millis(time));
            let at = url.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
            format!("{}: ready in {time}{at}", view.name)
        }
        (phase, _, _) => format!("{}: {phase}: {}", view.name, view.cause),
    }
}

/// Names the process that has the port meant for a service.
fn moved_port(view: &ServiceView) -> Option<String> {
    let (wanted, given) = (view.wanted_port?, view.port?);
    if wanted == given {
        return None;
    }
    let holders = ports::holders_of_port(wanted);
    Some(format!("port {wanted} {}; using {given}", ports::explain_held(&holders)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::ImportedProbe;

    #[test]
    fn what_listens_loses_only_the_comment_that_it_need_not() {
        let mut service = ImportedService {
            ready: Some(ImportedProbe::of(ProbeTest::Started)),
            comments: vec![NEED_NOT_LISTEN.to_owned(), "Detected from go.mod.".to_owned()],
            ..ImportedService::default()
        };
        expect_to_listen(&mut service);
        assert_eq!(service.comments, ["Detected from go.mod."]);
        assert_eq!(service.ready, None);
        service.comments.push(NEED_NOT_LISTEN.to_owned());
        expect_to_listen(&mut service);
        assert_eq!(service.comments.len(), 2, "it was not written by devstack");
    }

    #[test]
    fn options_are_added_only_to_simple_commands_of_known_servers() {
        let options = |text: &str| port_options(&ImportedCommand::Shell(text.to_owned()));
        assert_eq!(options("uvicorn a:b").as_deref(), Some("--port $PORT --host $HOST"));
        assert_eq!(options("gunicorn a:b").as_deref(), Some("--bind $HOST:$PORT"));
        for text in ["uvicorn a:b --port $PORT", "cd a && uvicorn a:b", "node a.js", "php -S", "'"]
        {
            assert_eq!(options(text), None, "{text}");
        }
    }
}
