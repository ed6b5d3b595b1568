//! The command line, the only layer that uses all others. Functions named like a command run it.

mod args;
mod attach;
mod context;
pub(crate) mod control;
mod doctor;
pub(crate) mod inspect;
pub(crate) mod render;
pub(crate) mod start;
pub(crate) mod tools;

use std::io::{IsTerminal, stderr, stdout};
use std::path::PathBuf;

use clap::Parser;

pub(crate) use control::ClientOptions;

use crate::exit_code::ExitCode;
use crate::model::{Message, MessageClass};
use args::{Cli, CliCommand, ExportTarget};
use context::with_client;
use control::WaitOptions;
use inspect::{LogsArgs, LogsOptions};
use render::CommandError;

/// Runs the command line; returns the exit code.
pub fn main() -> ExitCode {
    if tools::complete_if_asked() {
        return ExitCode::OK;
    }
    crate::process::ignore_file_size_signal();
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version were requested; anything else is an error.
            let code = if error.use_stderr() { ExitCode::USAGE } else { ExitCode::OK };
            let _ = error.print();
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
        CliCommand::Up(args) => start::up(files, args),
        CliCommand::Run(args) => start::run(files, args),
        CliCommand::Check(args) => inspect::check(files, &args),
        CliCommand::Plan(args) => inspect::plan(files, &args),
        CliCommand::Ports(args) => inspect::ports(&files, &args),
        CliCommand::Presets(args) => inspect::presets::presets(&args),
        CliCommand::Doctor(args) => doctor::doctor(files, args.json),
        CliCommand::Schema => render::print(&crate::config::json_schema()),
        CliCommand::Completions(args) => tools::completions(args.shell),
        CliCommand::Man(args) => tools::man(&args),
        CliCommand::Ps(args) | CliCommand::Down(args) if args.all && !files.is_empty() => {
            Err(all_and_one().into())
        }
        CliCommand::Ps(args) => with_client(&files, args.json, async |options| match args.all {
            true => inspect::ps_all(&options, &mut stdout()).await,
            false => inspect::ps(&options, &mut stdout()).await,
        }),
        CliCommand::Down(args) => with_client(&files, args.json, async |options| match args.all {
            true => control::down_all(&options, &mut stdout(), &mut stderr()).await,
            false => control::down(&options, &mut stdout()).await,
        }),
        CliCommand::Start(args) => with_client(&files, args.json, async |options| {
            control::start(&options, &args.services, &mut stdout()).await
        }),
        CliCommand::Stop(args) => with_client(&files, args.json, async |options| {
            control::stop(&options, &args.services, &mut stdout()).await
        }),
        CliCommand::Restart(args) => with_client(&files, args.json, async |options| {
            control::restart(&options, &args.services, &mut stdout()).await
        }),
        CliCommand::Attach(args) => attach::attach(&files, &args),
        CliCommand::Why(args) => with_client(&files, args.json, async |options| {
            inspect::why(&options, &args.service, &mut stdout()).await
        }),
        CliCommand::Wait(args) => with_client(&files, args.json, async |control| {
            let (services, what) = (args.services, args.what.unwrap_or_default());
            let options = WaitOptions { control, services, what, timeout: args.timeout };
            control::wait(&options, &mut stdout(), &mut stderr()).await
        }),
        CliCommand::Debug(args) => with_client(&files, args.services.json, async |options| {
            control::debug(&options, &args.services.services, !args.off, &mut stdout()).await
        }),
        CliCommand::Env(args) => inspect::env(files, &args),
        CliCommand::Open(args) => tools::open(&files, &args),
        CliCommand::Exec(args) => tools::exec(files, &args),
        CliCommand::Export(export) => match export.what {
            ExportTarget::Vscode(args) => tools::export(files, &args),
        },
        CliCommand::Logs(args) => logs(&files, args),
    }
}

fn logs(files: &[PathBuf], args: LogsArgs) -> Result<ExitCode, CommandError> {
    let (json, status_mode, last) = (args.is_json(), args.narration(), args.last());
    let stream = args.stream.map(Into::into);
    let style = context::log_style(stdout().is_terminal(), args.shown);
    let LogsArgs { services, follow, since, grep, .. } = args;
    with_client(files, json, async |control| {
        let options =
            LogsOptions { control, services, follow, last, since, stream, grep, status_mode };
        let mut face = render::LogRenderer::new(style);
        inspect::logs(&options, &mut face, context::stdout_closed(), &mut stdout()).await
    })
}

fn all_and_one() -> Message {
    Message::new(MessageClass::Usage, "`--all` covers every stack, but `-f` selects one")
        .help("remove one of them")
}
