use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Arg, Args, Command, CommandFactory, ValueEnum, ValueHint};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{EnvCompleter, Shells};

use crate::cli::args::Cli;
use crate::cli::render::{CommandError, print};
use crate::config::{self, ConfigNames, ConfigOverrides};
use crate::exit_code::ExitCode;
use crate::presets;

/// `devstack completions`.
#[derive(Debug, Args)]
#[command(after_help = "bash: add to ~/.bashrc            source <(devstack completions bash)
zsh:  add to ~/.zshrc             source <(devstack completions zsh)
fish: devstack completions fish > ~/.config/fish/completions/devstack.fish")]
pub struct CompletionsArgs {
    /// Shell to generate completions for
    #[arg(value_enum)]
    pub shell: CompletionShell,
}

/// A shell that can be told how to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompletionShell {
    /// GNU Bash
    Bash,
    /// Zsh
    Zsh,
    /// fish
    Fish,
}

/// Variable with which a shell asks for completions of the words after `--`.
const VARIABLE: &str = "DEVSTACK_COMPLETE";

const BASH: &str = "bash";

/// Name of the program in shells.
const PROGRAM: &str = "devstack";

/// `devstack completions SHELL`: prints the script for the shell to evaluate.
pub(crate) fn completions(shell: CompletionShell) -> Result<ExitCode, CommandError> {
    let shells = Shells::builtins();
    let value = shell.to_possible_value().expect("no shell is hidden");
    let completer: &dyn EnvCompleter =
        shells.completer(value.get_name()).expect("all three shells are built in");
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .expect("writing to a Vec never fails");
    let script = String::from_utf8_lossy(&script);
    print(&match shell {
        // bash inserts the words of a function unquoted, so file names are left to bash.
        CompletionShell::Bash => script.replace("-o bashdefault", "-o bashdefault -o default"),
        CompletionShell::Zsh | CompletionShell::Fish => script.into_owned(),
    })
}

/// Answers a completion request from a shell, if there is one. Errors are silent: they would appear
/// in the middle of the command line.
pub(crate) fn complete_if_asked() -> bool {
    let Some(shell) = std::env::var_os(VARIABLE) else { return false };
    let engine = CompleteEnv::with_factory(|| command_for(&shell))
        .var(VARIABLE)
        .bin(PROGRAM)
        .completer(PROGRAM);
    let cwd = std::env::current_dir().ok();
    engine.try_complete(std::env::args_os(), cwd.as_deref()).unwrap_or(true)
}

fn command_for(shell: &OsStr) -> Command {
    let command = add_completers(Cli::command());
    if shell == BASH { without_files(command) } else { command }
}

fn add_completers(command: Command) -> Command {
    command.mut_args(add_completer).mut_subcommands(add_completers)
}

/// Offers no files: bash completes them when there is nothing else.
fn without_files(command: Command) -> Command {
    let without = |arg: Arg| match arg.get_action().takes_values() {
        true => arg.value_hint(ValueHint::Other),
        false => arg,
    };
    command.mut_args(without).mut_subcommands(without_files)
}

/// Chooses the completer by the value name, so that every command gets it.
fn add_completer(arg: Arg) -> Arg {
    let called = arg.get_value_names().and_then(|names| names.first()).map(|name| name.to_string());
    let completer = match called.as_deref() {
        Some("SERVICE" | "SERVICES" | "SERVICE|ID") => complete(|| names().services),
        Some("SERVICE=N") => complete(|| names().services.into_iter().map(|name| name + "=")),
        Some("PROFILE" | "PROFILES") => complete(|| names().profiles),
        Some("ACTION") => complete(|| actions(&words())),
        Some("PRESET") => complete(|| presets::all().iter().map(|preset| preset.name.to_owned())),
        Some("COMMAND") => complete(commands),
        Some("FILE") => return arg.value_hint(ValueHint::FilePath),
        Some("DIR") => return arg.value_hint(ValueHint::DirPath),
        _ => return arg,
    };
    arg.add(completer)
}

/// Completes what was typed to one of these names.
fn complete<N: IntoIterator<Item = String> + 'static>(names: fn() -> N) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| -> Vec<CompletionCandidate> {
        let typed = typed.to_string_lossy();
        let fits = names().into_iter().filter(|name| name.starts_with(&*typed));
        fits.collect::<BTreeSet<String>>().into_iter().map(CompletionCandidate::new).collect()
    })
}

fn commands() -> Vec<String> {
    let command = Cli::command();
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| command.get_name().to_owned()).collect()
}

/// Returns the names in the configuration that the command line refers to.
fn names() -> ConfigNames {
    let files = files(words().into_iter()).into_iter().filter(|file| file.is_file()).collect();
    crate::cli::context::sources(files, ConfigOverrides::default())
        .map(|sources| config::config_names(&sources))
        .unwrap_or_default()
}

/// Returns the words of the command line that is completed.
fn words() -> Vec<OsString> {
    std::env::args_os().skip_while(|word| word != "--").skip(1).collect()
}

/// Returns the actions of the services that the words name: of one, unless an option's value is called
/// like another.
fn actions(words: &[OsString]) -> BTreeSet<String> {
    let named = names().actions.into_iter();
    let named = named.filter(|(service, _)| words.iter().any(|word| *word == **service));
    named.flat_map(|(_, actions)| actions).collect()
}

/// Returns the values of `-f` and `--file`. After `logs`, `-f` has another meaning.
fn files(mut words: impl Iterator<Item = OsString>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("-f" | "--file") => files.extend(words.next().map(PathBuf::from)),
            Some(word) => {
                let value = word.strip_prefix("--file=").or_else(|| word.strip_prefix("-f"));
                files.extend(value.map(PathBuf::from));
            }
            None => {}
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_about_services_completes_them() {
        let mut reported = Vec::new();
        for command in command_for(OsStr::new("fish")).get_subcommands() {
            for arg in command.get_arguments() {
                let known = arg.get::<ArgValueCompleter>().is_some();
                if arg.get_id().as_str().contains("service") {
                    assert!(known, "{}: {}: name its value SERVICE", command.get_name(), arg);
                }
                if known {
                    reported.push(format!("{} {}", command.get_name(), arg.get_id()));
                }
            }
        }
        for one in [
            "do service", "do action", "up services", "up ports", "run services", "logs services",
            "presets name",
        ] {
            assert!(reported.contains(&one.to_owned()), "{one} in {reported:?}");
        }
    }

    #[test]
    fn files_of_the_line_are_found() {
        let found = |line: &str| {
            let files = files(line.split(' ').map(OsString::from));
            files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("devstack -f a up --file b --file=c -fd api"), "a b c d");
        assert_eq!(found("devstack logs -f"), "");
        assert_eq!(found("devstack up"), "");
    }
}
