use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};

use super::agents::{AgentsArgs, AgentsCommand, McpArgs};
use super::attach::AttachArgs;
use super::control::{DebugArgs, ServicesArgs, WaitArgs};
use super::doctor::DoctorArgs;
use super::init::InitArgs;
use super::inspect::{
    ChangesArgs, CheckArgs, EnvArgs, LogsArgs, PlanArgs, PortsArgs, PresetsArgs, WhyArgs,
};
use super::proxy::{FrontArgs, ProxyArgs};
use super::requests::RequestsArgs;
use super::start::{RunArgs, UpArgs};
use super::tools::{
    CompletionsArgs, DashboardArgs, DataArgs, DoArgs, ExecArgs, ExportFileArgs, ManArgs, OpenArgs,
    TrustArgs, VscodeArgs,
};
use super::tui::TuiArgs;
use crate::model::{Message, MessageClass};
use crate::units::parse_duration;

/// Run a stack of development services: free ports, restart on change, no leftover processes
#[derive(Debug, Parser)]
#[command(
    name = "devstack",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub files: FileArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: CliCommand,
}

/// Which configuration. Before every command and after most of them: after `logs`, `-f` means to follow.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// Configuration file; can be repeated, later files override earlier ones [default: devstack.toml, Procfile.dev or Procfile in this or a parent directory]
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub list: Vec<PathBuf>,
}

impl Cli {
    /// Takes the configuration files, those before the command first.
    pub fn take_files(&mut self) -> Vec<PathBuf> {
        let after = match &mut self.command {
            CliCommand::Up(up) => &mut up.files.list,
            CliCommand::Run(run) => &mut run.files.list,
            CliCommand::Down(args) | CliCommand::Ps(args) => &mut args.files.list,
            CliCommand::Doctor(json) => &mut json.files.list,
            CliCommand::Check(check) => &mut check.files.list,
            CliCommand::Plan(plan) => &mut plan.files.list,
            CliCommand::Logs(logs) => &mut logs.files,
            CliCommand::Changes(changes) => &mut changes.files.list,
            CliCommand::Requests(requests) => requests.files(),
            CliCommand::Start(services)
            | CliCommand::Stop(services)
            | CliCommand::Restart(services) => &mut services.files.list,
            CliCommand::Attach(attach) => &mut attach.files.list,
            CliCommand::Tui(tui) => &mut tui.files.list,
            CliCommand::Why(why) => &mut why.files.list,
            CliCommand::Wait(wait) => &mut wait.files.list,
            CliCommand::Debug(debug) => &mut debug.services.files.list,
            CliCommand::Env(env) => &mut env.files.list,
            CliCommand::Exec(exec) => &mut exec.files.list,
            CliCommand::Do(args) => &mut args.files.list,
            CliCommand::Open(open) => &mut open.files.list,
            CliCommand::Dashboard(dashboard) => &mut dashboard.files.list,
            CliCommand::Export(export) => match &mut export.what {
                ExportTarget::Compose(file)
                | ExportTarget::Kubernetes(file)
                | ExportTarget::Systemd(file)
                | ExportTarget::Procfile(file) => &mut file.files.list,
                ExportTarget::Vscode(vscode) => &mut vscode.files.list,
            },
            CliCommand::Ports(ports) => &mut ports.files.list,
            CliCommand::Front(front) => &mut front.files.list,
            CliCommand::Mcp(mcp) => &mut mcp.files.list,
            CliCommand::Agents(agents) => match &mut agents.command {
                AgentsCommand::Init(init) => &mut init.files.list,
            },
            // These commands use no configuration.
            CliCommand::Init(_)
            | CliCommand::Proxy(_)
            | CliCommand::Presets(_)
            | CliCommand::Data(_)
            | CliCommand::Trust(_)
            | CliCommand::Schema
            | CliCommand::Completions(_)
            | CliCommand::Man(_) => {
                return std::mem::take(&mut self.files.list);
            }
        };
        let mut files = std::mem::take(&mut self.files.list);
        files.append(after);
        files
    }
}

/// What devstack can do.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Start the stack and show its logs until Ctrl-C
    Up(UpArgs),
    /// Start the stack, run a command once it is ready, stop everything and exit with its code
    Run(RunArgs),
    /// Write a devstack.toml for the project in this directory
    Init(InitArgs),
    /// Stop the stack running in this directory, or all of this user's stacks with --all
    Down(ScopeArgs),
    /// List the services of the running stack, or all of this user's stacks with --all
    Ps(ScopeArgs),
    /// Show the output of services
    Logs(LogsArgs),
    /// Show events of the running stack, for programs that poll
    Changes(ChangesArgs),
    /// Show requests to the names of services
    Requests(RequestsArgs),
    /// Start services of the running stack and their dependencies
    Start(ServicesArgs),
    /// Stop services of the running stack
    Stop(ServicesArgs),
    /// Restart services of the running stack
    Restart(ServicesArgs),
    /// Explain a service's state and what happens next
    Why(WhyArgs),
    /// Wait until services are ready; fail as soon as they can no longer become ready
    Wait(WaitArgs),
    /// Restart services in debug mode, or back in run mode with --off
    Debug(DebugArgs),
    /// Attach to a service's terminal until Ctrl-]
    Attach(AttachArgs),
    /// Show and control the running stack on the whole terminal
    Tui(TuiArgs),
    /// Show a service's environment, of its process or of its next start
    Env(EnvArgs),
    /// Run a command in a service's directory, with its environment
    Exec(ExecArgs),
    /// Run an action of a service, or list the actions
    Do(DoArgs),
    /// Open a service's page in the browser once it is ready
    Open(OpenArgs),
    /// Open the dashboard in the browser: all stacks of this user, with logs and buttons
    Dashboard(DashboardArgs),
    /// Export the stack for other tools
    Export(ExportArgs),
    /// Show this stack's ports, or what is using a port
    Ports(PortsArgs),
    /// List the names under which services of this user are served
    Proxy(ProxyArgs),
    /// Serve the primary service of this stack at http://localhost:PORT
    Front(FrontArgs),
    /// Serve coding agents on stdin and stdout (Model Context Protocol)
    Mcp(McpArgs),
    /// Make this stack known to coding agents
    Agents(AgentsArgs),
    /// List the presets, or show one
    Presets(PresetsArgs),
    /// List the data that stacks keep, or remove what is left of deleted projects
    Data(DataArgs),
    /// Make https work for the names of services: create a CA and add it to trust stores
    Trust(TrustArgs),
    /// Check the configuration without starting anything
    Check(CheckArgs),
    /// Show what applying the configuration (or `up`, if nothing is running) would do, and why
    Plan(PlanArgs),
    /// Check this machine and project for problems, and suggest fixes
    Doctor(DoctorArgs),
    /// Print the JSON Schema of devstack.toml, for completion and checks in editors
    Schema,
    /// Print shell completions for commands, options and services
    Completions(CompletionsArgs),
    /// Print the manual page of devstack or one of its commands
    Man(ManArgs),
}

impl CliCommand {
    /// Returns whether errors are JSON.
    pub fn is_json(&self) -> bool {
        match self {
            CliCommand::Up(args) => args.shown.is_json(),
            CliCommand::Run(args) => args.shown.is_json(),
            CliCommand::Down(args) | CliCommand::Ps(args) => args.json,
            CliCommand::Logs(args) => args.is_json(),
            CliCommand::Changes(args) => args.json,
            CliCommand::Requests(args) => args.json,
            CliCommand::Start(args) | CliCommand::Stop(args) | CliCommand::Restart(args) => {
                args.json
            }
            CliCommand::Why(args) => args.json,
            CliCommand::Wait(args) => args.json,
            CliCommand::Debug(args) => args.services.json,
            CliCommand::Env(args) => args.is_json(),
            CliCommand::Do(args) => args.json,
            CliCommand::Open(args) => args.json,
            CliCommand::Dashboard(args) => args.json,
            CliCommand::Ports(args) => args.json,
            CliCommand::Proxy(args) => args.json,
            CliCommand::Front(args) => args.json,
            CliCommand::Presets(args) => args.json,
            CliCommand::Data(args) => args.is_json(),
            CliCommand::Check(args) => args.json,
            CliCommand::Init(args) => args.json,
            CliCommand::Plan(args) => args.json,
            CliCommand::Doctor(args) => args.json,
            CliCommand::Attach(_)
            | CliCommand::Tui(_)
            | CliCommand::Exec(_)
            | CliCommand::Export(_)
            | CliCommand::Trust(_)
            | CliCommand::Schema
            | CliCommand::Completions(_)
            | CliCommand::Man(_)
            | CliCommand::Mcp(_)
            | CliCommand::Agents(_) => false,
        }
    }
}

/// Returns a better error for the command of `run` without `--`: `devstack run curl URL`.
pub(super) fn missing_dashes(
    error: &clap::Error,
    args: impl Iterator<Item = OsString>,
) -> Option<Message> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let ContextValue::String(word) = error.get(ContextKind::InvalidArg)? else { return None };
    let args: Vec<String> = args.skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let at = args.iter().position(|arg| arg == word)?;
    let is_run = args[..at].iter().any(|arg| arg == "run") && !word.starts_with('-');
    is_run.then(|| {
        let [before, command] = [&args[..at], &args[at..]].map(shell_words::join);
        let text = "the command to run must follow `--`";
        Message::new(MessageClass::Usage, text).help(format!("use: devstack {before} -- {command}"))
    })
}

/// What `up` and `run` have in common.
#[derive(Debug, Args)]
pub struct StartupArgs {
    /// Use this port for a service, or fail: `api=6000`, or `api.metrics=6001` for a named port
    #[arg(long = "port", value_name = "SERVICE=N", value_parser = parse_port_override)]
    pub ports: Vec<(String, u16)>,
    /// Also start the services in this profile; can be repeated [env: DEVSTACK_PROFILES=a,b]
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// Address that services bind to, unless the file sets one for a service
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Make services reachable from the network; same as --host 0.0.0.0
    #[arg(long, conflicts_with = "host")]
    pub lan: bool,
    /// Start only the named services, without their dependencies
    #[arg(long)]
    pub no_deps: bool,
    /// Give up if the stack is not ready within this time, such as 90s or 5m; with `run`, if the
    /// command has not finished
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// A command about the stack of this directory, or about all of them.
#[derive(Debug, Args)]
pub struct ScopeArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// All stacks of this user on this machine
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Target tool
    #[command(subcommand)]
    pub what: ExportTarget,
}

/// The program that something is exported for.
#[derive(Debug, Subcommand)]
pub enum ExportTarget {
    /// Print a Compose file for Docker or Podman
    Compose(ExportFileArgs),
    /// Print manifests for Kubernetes
    Kubernetes(ExportFileArgs),
    /// Print user units for systemd
    Systemd(ExportFileArgs),
    /// Print a Procfile for foreman or honcho
    Procfile(ExportFileArgs),
    /// Write entries to .vscode/launch.json that attach to services in debug mode
    Vscode(VscodeArgs),
}

pub(super) fn parse_port_override(text: &str) -> Result<(String, u16), String> {
    let (service, port) = text.split_once('=').ok_or("expected SERVICE=N, such as api=6000")?;
    match port.parse() {
        Ok(port) if port > 0 => Ok((service.to_owned(), port)),
        Ok(_) | Err(_) => Err(format!("invalid port `{port}`: expected 1 to 65535")),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| "expected a duration with a unit, such as 250ms, 90s or 1h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_without_dashes_is_told_of_them_even_if_it_is_no_text() {
        use std::os::unix::ffi::OsStringExt as _;
        let help = |words: &[&str]| {
            let words = words.iter().copied().map(OsString::from);
            let all = [OsString::from("devstack")].into_iter().chain(words);
            let all: Vec<OsString> = all.chain([OsString::from_vec(vec![0xff])]).collect();
            let error = Cli::try_parse_from(&all).expect_err("invalid command line");
            missing_dashes(&error, all.into_iter()).map(|message| message.help)
        };
        let expected = "use: devstack run -- curl \u{fffd}";
        assert_eq!(help(&["run", "curl"]).as_deref(), Some(expected));
        assert_eq!(help(&["--nope"]), None);
    }

    /// Appends `--help` of the command and of its subcommands.
    fn push_help(text: &mut String, command: &Command) {
        let name = command.get_bin_name().unwrap_or(command.get_name());
        *text += &format!("$ {name} --help\n{}\n", command.clone().render_long_help());
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            push_help(text, command);
        }
    }

    #[test]
    fn the_help_of_every_command() {
        let mut command = Cli::command().term_width(100);
        command.build();
        let mut text = String::new();
        push_help(&mut text, &command);
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!("help", text);
        });
    }

    #[test]
    fn files_are_taken_from_both_sides_of_the_command() {
        let files = |words: &str| {
            let words = ["devstack"].into_iter().chain(words.split(' '));
            let mut cli = Cli::try_parse_from(words).expect("valid command line");
            cli.take_files().iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(files("-f a --file b up -f c"), ["a", "b", "c"]);
        assert_eq!(files("ps -f a"), ["a"]);
        assert_eq!(files("-f a logs -f"), ["a"]);
        assert_eq!(files("logs --file a api"), ["a"]);
        assert_eq!(files("restart api"), [""; 0]);
    }
}
