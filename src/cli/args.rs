use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::env_args::{Env, Exec};
use super::log_args::{Logs, Shown};
use super::wait_args::Wait;
use super::why_args::Why;

/// Runs a stack of services on ports that work, restarts what you edit, and leaves nothing behind.
#[derive(Debug, Parser)]
#[command(
    name = "devstack",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub files: Files,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which configuration. Before every command and after most of them: after `logs`, `-f` means to follow.
#[derive(Debug, Args)]
pub struct Files {
    /// Configuration file; may be repeated, later over earlier [default: devstack.toml here or above]
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub list: Vec<PathBuf>,
}

impl Cli {
    /// Takes out the configuration files, those before the command first.
    pub fn take_files(&mut self) -> Vec<PathBuf> {
        let after = match &mut self.command {
            Command::Up(up) => &mut up.files.list,
            Command::Run(run) => &mut run.files.list,
            Command::Down(args) | Command::Ps(args) => &mut args.files.list,
            Command::Doctor(json) => &mut json.files.list,
            Command::Check(check) => &mut check.files.list,
            Command::Plan(plan) => &mut plan.files.list,
            Command::Logs(logs) => &mut logs.files,
            Command::Start(services) | Command::Stop(services) | Command::Restart(services) => {
                &mut services.files.list
            }
            Command::Attach(attach) => &mut attach.files.list,
            Command::Why(why) => &mut why.files.list,
            Command::Wait(wait) => &mut wait.files.list,
            Command::Debug(debug) => &mut debug.services.files.list,
            Command::Env(env) => &mut env.files.list,
            Command::Exec(exec) => &mut exec.files.list,
            Command::Open(open) => &mut open.files.list,
            Command::Export(export) => match &mut export.what {
                Exported::Vscode(vscode) => &mut vscode.files.list,
            },
            Command::Ports(ports) => &mut ports.files.list,
            // They are about no configuration.
            Command::Presets(_) | Command::Schema | Command::Completions(_) | Command::Man(_) => {
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
pub enum Command {
    /// Start the stack and show one log until Ctrl-C
    Up(Up),
    /// Start the stack, wait until it is ready, run a command, stop everything, exit with its code
    Run(Run),
    /// Stop the running stack of this folder, or every stack of this user with --all
    Down(HereOrAll),
    /// Show the services of the running stack, or every stack of this user with --all
    Ps(HereOrAll),
    /// Show what services printed
    Logs(Logs),
    /// Start services of the running stack, with what they depend on
    Start(Services),
    /// Stop services of the running stack
    Stop(Services),
    /// Restart services of the running stack
    Restart(Services),
    /// Say why a service is as it is, and what comes next
    Why(Why),
    /// Wait until services are ready, and fail at once when they cannot be any more
    Wait(Wait),
    /// Restart services of the running stack in debug mode, or back in run mode with --off
    Debug(Debug),
    /// Show the terminal of a service here and type in it, until Ctrl-]
    Attach(Attach),
    /// Show the environment of a service: that of its process, or what the next one gets
    Env(Env),
    /// Run a command in the folder and with the environment of a service
    Exec(Exec),
    /// Open the page of a service in the browser, once it is ready
    Open(Open),
    /// Write down for other programs what is in the stack
    Export(Export),
    /// Show the ports of this stack, or who holds a port
    Ports(Ports),
    /// List what a service can name as its `preset`, or show one
    Presets(Presets),
    /// Check the configuration and start nothing
    Check(Check),
    /// Show what applying the files (or `up`, when nothing runs) would do now and why, and do nothing
    Plan(Plan),
    /// Say what this machine and this project lack, and what to do about it; change nothing
    Doctor(Json),
    /// Print the JSON Schema of devstack.toml, with which editors complete and check it
    Schema,
    /// Print what makes a shell complete commands, options and services
    Completions(Completions),
    /// Print the manual page of devstack or of one of its commands
    Man(Man),
}

/// What `up` and `run` have in common.
#[derive(Debug, Args)]
pub struct Starting {
    /// Give a service this port, or fail: `api=6000`; `api.metrics=6001` for a named port
    #[arg(long = "port", value_name = "SERVICE=N", value_parser = port_override)]
    pub ports: Vec<(String, u16)>,
    /// Also start the services of this profile; may be repeated [env: DEVSTACK_PROFILES=a,b]
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// The address that services are told to bind, unless the file says so for one of them
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Open services to the network: the same as --host 0.0.0.0
    #[arg(long, conflicts_with = "host")]
    pub lan: bool,
    /// Start only the named services, without what they depend on
    #[arg(long)]
    pub no_deps: bool,
    /// Give up when the stack is not ready after this long, such as 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// `devstack up`.
#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    pub files: Files,
    /// The services to start, with what they depend on [default: all]
    pub services: Vec<String>,
    /// Go into the background, and return when everything is ready or done, or has failed
    #[arg(short, long)]
    pub detach: bool,
    #[command(flatten)]
    pub starting: Starting,
    /// Start these for a debugger, or all that have a `debug` entry
    #[arg(long, value_name = "SERVICE,…", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub debug: Option<String>,
    /// Fail when a wanted port is taken, whatever the file says
    #[arg(long)]
    pub strict_ports: bool,
    /// Follow no files: neither sources nor the configuration
    #[arg(long)]
    pub no_watch: bool,
    /// Open the page of the primary service in the browser when everything is ready
    #[arg(long)]
    pub open: bool,
    /// Show a QR code of the URL that others in the network reach the stack at
    #[arg(long)]
    pub qr: bool,
    #[command(flatten)]
    pub shown: Shown,
}

/// `devstack run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub files: Files,
    /// Start only this service, with what it depends on; may be repeated [default: all]
    #[arg(long = "service", value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    pub starting: Starting,
    /// Let ports move when they are taken, as the file says [default: fail]
    #[arg(long)]
    pub no_strict_ports: bool,
    #[command(flatten)]
    pub shown: Shown,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<std::ffi::OsString>,
}

/// A command that prints facts.
#[derive(Debug, Args)]
pub struct Json {
    #[command(flatten)]
    pub files: Files,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A command about the stack of this folder, or about all of them.
#[derive(Debug, Args)]
pub struct HereOrAll {
    #[command(flatten)]
    pub files: Files,
    /// Every stack of this user on this machine
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A command about services.
#[derive(Debug, Args)]
pub struct Services {
    #[command(flatten)]
    pub files: Files,
    /// The services
    #[arg(required = true)]
    pub services: Vec<String>,
    /// Print errors as JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack debug`.
#[derive(Debug, Args)]
pub struct Debug {
    #[command(flatten)]
    pub services: Services,
    /// Back into run mode
    #[arg(long)]
    pub off: bool,
}

/// `devstack open`.
#[derive(Debug, Args)]
pub struct Open {
    #[command(flatten)]
    pub files: Files,
    /// The service [default: the primary one]
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Print JSON, and open it all the same
    #[arg(long)]
    pub json: bool,
}

/// `devstack export`.
#[derive(Debug, Args)]
pub struct Export {
    /// For whom
    #[command(subcommand)]
    pub what: Exported,
}

/// For whom something is exported.
#[derive(Debug, Subcommand)]
pub enum Exported {
    /// Entries in .vscode/launch.json that attach to the services in debug mode
    Vscode(Vscode),
}

/// `devstack export vscode`.
#[derive(Debug, Args)]
pub struct Vscode {
    #[command(flatten)]
    pub files: Files,
    /// Print launch.json as it would be, and leave it as it is
    #[arg(long)]
    pub dry_run: bool,
}

/// `devstack attach`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every key goes to the service, also Ctrl-C and Ctrl-Z; Ctrl-] leaves, and the service runs on.
A service has a terminal with `tty = true`, and without it when devstack itself writes to one."
)]
pub struct Attach {
    #[command(flatten)]
    pub files: Files,
    /// The service, or one replica such as api-2
    #[arg(value_name = "SERVICE")]
    pub service: String,
}

/// `devstack check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub files: Files,
    /// Check as if this profile was chosen; may be repeated
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack plan`.
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub files: Files,
    #[command(flatten)]
    pub up: AsUp,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What of `up` matters to a plan while no stack runs. A running one is compared as it was started.
#[derive(Debug, Args, Default)]
pub struct AsUp {
    /// The services that `up` would be asked to start [default: all]
    pub services: Vec<String>,
    /// As `up --port`
    #[arg(long = "port", value_name = "SERVICE=N", value_parser = port_override)]
    pub ports: Vec<(String, u16)>,
    /// As `up --profile`
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// As `up --host`
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// As `up --no-deps`
    #[arg(long)]
    pub no_deps: bool,
    /// As `up --strict-ports`
    #[arg(long)]
    pub strict_ports: bool,
}

impl AsUp {
    /// Whether nothing of it was said.
    pub fn is_empty(&self) -> bool {
        let AsUp { services, ports, profiles, host, no_deps, strict_ports } = self;
        services.is_empty()
            && ports.is_empty()
            && profiles.is_empty()
            && host.is_none()
            && !no_deps
            && !strict_ports
    }
}

/// `devstack ports`.
#[derive(Debug, Args)]
pub struct Ports {
    #[command(flatten)]
    pub files: Files,
    /// Ports: who holds them?
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ports: Vec<u16>,
    /// End who listens there, after a yes
    #[arg(long, requires = "ports")]
    pub kill: bool,
    /// The yes, for scripts
    #[arg(long, requires = "kill")]
    pub yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack presets`.
#[derive(Debug, Args)]
pub struct Presets {
    /// The one to show, as TOML
    #[arg(value_name = "PRESET")]
    pub name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `devstack completions`.
#[derive(Debug, Args)]
#[command(after_help = "bash: add to ~/.bashrc            source <(devstack completions bash)
zsh:  add to ~/.zshrc             source <(devstack completions zsh)
fish: devstack completions fish > ~/.config/fish/completions/devstack.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A shell that can be told how to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Zsh
    Zsh,
    /// fish
    Fish,
}

/// `devstack man`.
#[derive(Debug, Args)]
#[command(after_help = "To read one: devstack man up | man -l -")]
pub struct Man {
    /// The command [default: the page that names them all]
    #[arg(value_name = "COMMAND", conflicts_with = "to")]
    pub command: Option<String>,
    /// Write all pages into this folder, as packages need them
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

fn port_override(text: &str) -> Result<(String, u16), String> {
    let (service, port) = text.split_once('=').ok_or("write it as SERVICE=N, such as api=6000")?;
    match port.parse() {
        Ok(port) if port > 0 => Ok((service.to_owned(), port)),
        Ok(_) | Err(_) => Err(format!("`{port}` is not a port; ports are 1 to 65535")),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err("write a number with ms, s or m, such as 90s".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write a number with ms, s or m, such as 90s")?;
    Ok(Duration::from_millis(number.saturating_mul(factor)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn files_are_taken_from_both_sides_of_the_command() {
        let files = |words: &str| {
            let words = ["devstack"].into_iter().chain(words.split(' '));
            let mut cli = Cli::try_parse_from(words).expect("it is right");
            cli.take_files().iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(files("-f a --file b up -f c"), ["a", "b", "c"]);
        assert_eq!(files("ps -f a"), ["a"]);
        assert_eq!(files("-f a logs -f"), ["a"]);
        assert_eq!(files("logs --file a api"), ["a"]);
        assert_eq!(files("restart api"), [""; 0]);
    }
}
