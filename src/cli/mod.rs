//! The command line, the only layer that uses all others. Functions named like a command run it.

mod agents;
mod args;
pub(crate) mod attach;
mod context;
pub(crate) mod control;
mod doctor;
mod init;
pub(crate) mod inspect;
mod proxy;
pub(crate) mod render;
mod requests;
pub(crate) mod start;
pub(crate) mod tools;
mod tui;

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;

use clap::Parser;

pub(crate) use control::ClientOptions;

use crate::control::LogQuery;
use crate::exit_code::ExitCode;
use crate::log::LogStyle;
use crate::model::{Message, MessageClass};
use args::{Cli, CliCommand, ExportTarget};
use context::with_client;
use control::{ServicesAction, ServicesArgs};
use inspect::{LogsArgs, LogsOptions};
use render::{CommandError, clean_stderr, clean_stdout};

/// Runs the command line; returns the exit code.
pub fn main() -> ExitCode {
    if tools::complete_if_asked() {
        return ExitCode::OK;
    }
    crate::process::ignore_file_size_signal();
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if let Some(message) = args::missing_dashes(&error, std::env::args_os()) {
                render::warn(&message.render());
                return ExitCode::USAGE;
            }
            // Help and version were requested; anything else is an error.
            let code = if error.use_stderr() { ExitCode::USAGE } else { ExitCode::OK };
            match error.use_stderr() {
                // It repeats arguments.
                true if context::color(&stderr()) => {
                    render::warn(&error.render().ansi().to_string());
                }
                true => render::warn(&error.render().to_string()),
                false => drop(error.print()),
            }
            return code;
        }
    };
    context::init_tracing();
    let files = cli.take_files();
    let json = cli.command.is_json();
    run(files, cli.command).unwrap_or_else(|error| {
        render::warn(&error.render(json, context::color(&stderr())));
        error.exit_code()
    })
}

fn run(files: Vec<PathBuf>, command: CliCommand) -> Result<ExitCode, CommandError> {
    match command {
        CliCommand::Up(args) => {
            init::offer_init(&files)?;
            start::up(files, args)
        }
        CliCommand::Run(args) => start::run(files, args),
        CliCommand::Check(args) => inspect::check(files, &args),
        CliCommand::Init(args) => init::init(&args),
        CliCommand::Plan(args) => inspect::plan(files, &args),
        CliCommand::Ports(args) => inspect::ports(&files, &args),
        CliCommand::Requests(args) => requests::requests(&files, &args),
        CliCommand::Proxy(args) => proxy::proxy(&args),
        CliCommand::Front(args) => proxy::front(&files, &args),
        CliCommand::Mcp(args) => agents::mcp(files, &args),
        CliCommand::Agents(args) => agents::agents(files, &args),
        CliCommand::Presets(args) => inspect::presets::presets(&args),
        CliCommand::Data(args) => tools::data(&args),
        CliCommand::Trust(args) => tools::trust(&args),
        CliCommand::Doctor(args) => doctor::doctor(files, args.json),
        CliCommand::Schema => render::print(&crate::config::json_schema()),
        CliCommand::Completions(args) => tools::completions(args.shell),
        CliCommand::Man(args) => tools::man(&args),
        CliCommand::Ps(args) | CliCommand::Down(args) if args.all && !files.is_empty() => {
            Err(all_and_one().into())
        }
        CliCommand::Ps(args) => with_client(&files, args.json, async |options| match args.all {
            true => inspect::ps_all(&options, &mut clean_stdout()).await,
            false => inspect::ps(&options, &mut clean_stdout()).await,
        }),
        CliCommand::Down(args) => with_client(&files, args.json, async |options| match args.all {
            true => control::down_all(&options, &mut clean_stdout(), &mut clean_stderr()).await,
            false => control::down(&options, &mut clean_stdout()).await,
        }),
        CliCommand::Start(args) => change(&files, ServicesAction::Start, &args),
        CliCommand::Stop(args) => change(&files, ServicesAction::Stop, &args),
        CliCommand::Restart(args) => change(&files, ServicesAction::Restart, &args),
        CliCommand::Tui(_) => tui::tui(&files),
        CliCommand::Attach(args) => attach::attach(&files, &args),
        CliCommand::Why(args) => with_client(&files, args.json, async |options| {
            inspect::why(&options, args.service.as_deref(), &mut clean_stdout()).await
        }),
        CliCommand::Wait(args) => with_client(&files, args.json, async |options| {
            control::wait(&options, &args, &mut clean_stdout(), &mut clean_stderr()).await
        }),
        CliCommand::Debug(args) => {
            let action = if args.off { ServicesAction::Undebug } else { ServicesAction::Debug };
            change(&files, action, &args.services)
        }
        CliCommand::Changes(args) => with_client(&files, args.json, async |options| {
            inspect::changes(&options, args.since.as_ref(), &mut clean_stdout()).await
        }),
        CliCommand::Env(args) => inspect::env(files, &args),
        CliCommand::Open(args) => tools::open(&files, &args),
        CliCommand::Dashboard(args) => tools::dashboard(&files, &args),
        CliCommand::Do(args) => tools::run_action(files, args),
        CliCommand::Exec(args) => tools::exec(files, &args),
        CliCommand::Export(export) => match export.what {
            ExportTarget::Compose(args) => {
                tools::export_file(files, tools::ExportFormat::Compose, &args)
            }
            ExportTarget::Kubernetes(args) => {
                tools::export_file(files, tools::ExportFormat::Kubernetes, &args)
            }
            ExportTarget::Systemd(args) => {
                tools::export_file(files, tools::ExportFormat::Systemd, &args)
            }
            ExportTarget::Procfile(args) => {
                tools::export_file(files, tools::ExportFormat::Procfile, &args)
            }
            ExportTarget::Vscode(args) => tools::export(files, &args),
        },
        CliCommand::Logs(args) => logs(&files, args),
    }
}

fn change(
    files: &[PathBuf],
    action: ServicesAction,
    args: &ServicesArgs,
) -> Result<ExitCode, CommandError> {
    with_client(files, args.json, async |options| {
        control::change(&options, action, &args.services, &mut clean_stdout()).await
    })
}

fn logs(files: &[PathBuf], args: LogsArgs) -> Result<ExitCode, CommandError> {
    let json = args.is_json();
    let query = LogQuery {
        last: args.last(),
        follow: args.follow,
        since: args.since,
        stream: args.stream.map(Into::into),
        status_mode: args.narration(),
        unfinished: args.shows_unfinished(),
        after: args.after.clone(),
        cursor: args.cursor,
        grep: args.grep.into_iter().collect(),
        ..LogQuery::default()
    };
    let terminal = stdout().is_terminal();
    let style = context::log_style(terminal, args.shown);
    let exact = !terminal && !style.prefix && !style.timestamps && !style.github;
    let style = LogStyle { exact, ..style };
    with_client(files, json, async |control| {
        let options = LogsOptions { control, services: args.services, query };
        let mut face = render::LogRenderer::new(style);
        // The renderer cleans text for a terminal and GitHub Actions, but not JSON.
        let mut out: Box<dyn Write> = match json && (terminal || style.github) {
            true => Box::new(clean_stdout()),
            false => Box::new(stdout()),
        };
        inspect::logs(&options, &mut face, context::stdout_closed(), &mut out).await
    })
}

fn all_and_one() -> Message {
    Message::new(MessageClass::Usage, "`--all` covers every stack, but `-f` selects one")
        .help("remove one of them")
}
