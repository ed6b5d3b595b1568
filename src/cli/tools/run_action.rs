use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;

use anstyle::Style;
use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ClientOptions;
use crate::cli::args::FileArgs;
use crate::cli::context;

use crate::cli::render::{CommandError, Table, TableCell, clean_stdout, warn};
use crate::cli::start::{StackPreview, UpPreviewArgs};
use crate::control::{ActionStream, ClientError, ControlClient, find_services};
use crate::exit_code::ExitCode;
use crate::log::PassedOutput;
use crate::model::{
    ActionRequest, ActionStop, ActionUpdate, ActionView, Message, MessageClass, Name, OutputStream,
    signal_number,
};
use crate::text::join;

/// `devstack do`.
#[derive(Debug, Args)]
#[command(after_help = "devstack do                  lists the actions of all services
devstack do api              lists the actions of api
devstack do api seed 50      runs the action seed of api; count is 50")]
pub struct DoArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Run it in the background; its output goes to the log of the service
    #[arg(long, conflicts_with = "stop")]
    pub detach: bool,
    /// Stop the action if it is running
    #[arg(long)]
    pub stop: bool,
    /// Print JSON: the actions, or one object per event
    #[arg(long)]
    pub json: bool,
    /// Service name
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Action of the service
    #[arg(value_name = "ACTION")]
    pub action: Option<String>,
    /// Arguments of the action
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// The actions of a service, in JSON.
#[derive(Serialize)]
struct OfferedActions {
    service: Name,
    actions: Vec<ActionView>,
}

/// `devstack do`: lists the actions of services, or runs one.
pub(crate) fn run_action(files: Vec<PathBuf>, args: DoArgs) -> Result<ExitCode, CommandError> {
    let DoArgs { detach, stop, json, service, action, args, .. } = args;
    let (Some(service), Some(action)) = (&service, action) else {
        if detach || stop {
            let help = "use `devstack do SERVICE ACTION`; `devstack do` lists them";
            return Err(Message::new(MessageClass::Usage, "missing action").help(help).into());
        }
        return list(files, service.as_deref(), json);
    };
    let service = service.clone();
    context::with_client(&files, json, async |options| {
        let client = options.client()?;
        if stop {
            let stop = ActionStop { service, action, number: None };
            let text = client.stop_action(&stop).await?;
            return crate::cli::control::print_result(&text, json, &mut clean_stdout());
        }
        let request = ActionRequest { service, action, args, detach };
        let stream = client.run_action(&request).await?;
        follow(&options, &client, &request, stream).await
    })
}

/// Shows what an action prints, and returns its exit code.
async fn follow(
    options: &ClientOptions,
    client: &ControlClient,
    request: &ActionRequest,
    mut stream: ActionStream,
) -> Result<ExitCode, CommandError> {
    let mut number = None;
    let mut stopped_by = None;
    let mut interrupts = Interrupts::listen()?;
    let mut outputs = [on_terminal(&stdout()), on_terminal(&stderr())];
    loop {
        let update = tokio::select! {
            biased;
            update = stream.next() => update?,
            signal = interrupts.next() => {
                let again = stopped_by.replace(signal).is_some();
                let Some(number) = number.filter(|_| !again) else {
                    // Leaving ends the action.
                    return Ok(ExitCode::of_signal(signal));
                };
                let stop = ActionStop {
                    service: request.service.clone(),
                    action: request.action.clone(),
                    number: Some(number),
                };
                // It may just have ended; the stream says so.
                let _ = client.stop_action(&stop).await;
                continue;
            }
        };
        if options.json {
            let line = serde_json::to_string(&update).map_err(ClientError::unreadable_response)?;
            writeln!(clean_stdout(), "{line}")?;
        }
        match &update {
            ActionUpdate::Started { service, action, number: started, .. } => {
                number = Some(*started);
                if request.detach {
                    if !options.json {
                        let text = format!(
                            "{action} of {service} runs in the background: follow it with `devstack logs -f {service}`"
                        );
                        writeln!(clean_stdout(), "{text}")?;
                    }
                    return Ok(ExitCode::OK);
                }
            }
            ActionUpdate::Output { .. } | ActionUpdate::Missed { .. } if options.json => {}
            ActionUpdate::Output { stream: OutputStream::Stdout, .. } => {
                let mut out = stdout().lock();
                out.write_all(&passed(&mut outputs[0], update.bytes()))?;
                out.flush()?;
            }
            ActionUpdate::Output { stream: OutputStream::Stderr, .. } => {
                // If that fails, the exit code still reports the result.
                let _ = stderr().write_all(&passed(&mut outputs[1], update.bytes()));
            }
            ActionUpdate::Missed { bytes } => warn(&format!("note: {bytes} bytes were missed\n")),
            ActionUpdate::Ended { exit, cause } => {
                if let (Some(cause), None, false) = (cause, stopped_by, options.json) {
                    let ActionRequest { service, action, .. } = request;
                    warn(&format!("{action} of {service} was ended: {cause}\n"));
                }
                let code = ExitCode(exit.exit_code());
                return Ok(stopped_by.map_or(code, ExitCode::of_signal));
            }
            ActionUpdate::Failed { error } => {
                return Err(ClientError::Refused(error.clone()).into());
            }
        }
    }
}

/// Returns the filter of an output that is a terminal. Any other gets all bytes as they are.
fn on_terminal(output: &impl IsTerminal) -> Option<PassedOutput> {
    output.is_terminal().then(|| PassedOutput::new(context::color(output)))
}

fn passed(filter: &mut Option<PassedOutput>, bytes: Vec<u8>) -> Vec<u8> {
    match filter {
        Some(filter) => filter.pass(&bytes),
        None => bytes,
    }
}

/// The signals that end a command.
struct Interrupts(Vec<(i32, tokio::signal::unix::Signal)>);

impl Interrupts {
    fn listen() -> std::io::Result<Interrupts> {
        let numbers = ["INT", "TERM", "HUP"].into_iter().filter_map(signal_number);
        let listen = |number| Ok((number, signal(SignalKind::from_raw(number))?));
        Ok(Interrupts(numbers.map(listen).collect::<std::io::Result<_>>()?))
    }

    async fn next(&mut self) -> i32 {
        let each = self.0.iter_mut();
        let mut each =
            each.map(|(number, signal)| Box::pin(async { (signal.recv().await, *number) }));
        let [Some(first), Some(second), Some(third)] = [each.next(), each.next(), each.next()]
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            (_, number) = first => number,
            (_, number) = second => number,
            (_, number) = third => number,
        }
    }
}

/// Lists the actions of the running stack, or else of the files.
fn list(files: Vec<PathBuf>, service: Option<&str>, json: bool) -> Result<ExitCode, CommandError> {
    let offered = match context::snapshot(&context::project_dir(&files)) {
        Ok(snapshot) => {
            let meant = match service {
                Some(service) => {
                    find_services(&snapshot, service).map_err(ClientError::UnknownService)?
                }
                None => Vec::new(),
            };
            let views = snapshot.services.into_iter();
            let views = views.filter(|view| service.is_none() || meant.contains(&view.name));
            views.map(|view| OfferedActions { service: view.name, actions: view.actions }).collect()
        }
        Err(CommandError::Client(ClientError::NotRunning(_))) => of_files(files, service)?,
        Err(error) => return Err(error),
    };
    let offered: Vec<OfferedActions> =
        offered.into_iter().filter(|one| service.is_some() || !one.actions.is_empty()).collect();
    let mut out = clean_stdout();
    if json {
        writeln!(out, "{}", serde_json::json!({ "version": 1, "services": offered }))?;
        return Ok(ExitCode::OK);
    }
    if offered.iter().all(|one| one.actions.is_empty()) {
        let whose = service.map_or("no service has actions".to_owned(), |service| {
            format!("{service} has no actions")
        });
        warn(&format!("{whose}; declare them under [services.NAME.actions]\n"));
        return Ok(ExitCode::OK);
    }
    write!(out, "{}", table(&offered))?;
    Ok(ExitCode::OK)
}

fn of_files(
    files: Vec<PathBuf>,
    service: Option<&str>,
) -> Result<Vec<OfferedActions>, CommandError> {
    let StackPreview { config, stack, .. } = StackPreview::look(files, &UpPreviewArgs::default())?;
    let meant = match service {
        None => stack.services.keys().cloned().collect(),
        Some(text) => {
            let named = Name::new(text).map(|name| config.services_named(&name));
            named.unwrap_or_default()
        }
    };
    if let (Some(text), true) = (service, meant.is_empty()) {
        let unknown = context::unknown_service(text, config.services().chain(config.groups()));
        return Err(CommandError::new(unknown, ExitCode::NOT_RUNNING));
    }
    let services = meant.iter().filter_map(|name| stack.services.get(name));
    let offered = services.map(|service| OfferedActions {
        service: service.name.clone(),
        actions: ActionView::of(&service.actions),
    });
    Ok(offered.collect())
}

fn table(offered: &[OfferedActions]) -> String {
    let mut table = Table::new(2);
    for OfferedActions { service, actions } in offered {
        for action in actions {
            let running = (!action.running.is_empty()).then_some("running");
            let help = join(running.into_iter().chain(action.help.as_deref()), "; ");
            let cell = |text: String| TableCell(text, Style::new());
            table.row([cell(action.usage(service.as_str())), cell(help)]);
        }
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunningAction;

    #[test]
    fn the_list_shows_how_to_call_each_action() {
        let name = |text: &str| Name::new(text).expect("a valid name");
        let action = |text, args: &[&str], help: Option<&str>| ActionView {
            name: name(text),
            help: help.map(str::to_owned),
            args: args.iter().map(|arg| name(arg)).collect(),
            parallel: false,
            running: help
                .iter()
                .map(|_| RunningAction { number: 1, since: String::new(), pid: None })
                .collect(),
        };
        let api = OfferedActions {
            service: name("api"),
            actions: vec![
                action("flush", &[], None),
                action("seed", &["count", "from-date"], Some("fills the database")),
            ],
        };
        insta::assert_snapshot!(table(&[api]), @r"
        api flush
        api seed COUNT FROM_DATE  running; fills the database
        ");
    }
}
