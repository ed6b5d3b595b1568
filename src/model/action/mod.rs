//! Commands that a service offers beside its own.

mod request;
mod update;
mod view;

use std::collections::BTreeMap;

pub use request::{ActionRequest, ActionStop};
pub use update::ActionUpdate;
pub use view::{ActionView, RunningAction};

use super::{CommandLine, Name, RedactedText};

/// A command that a service offers. `C` is the form of its command: resolved, or as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAction<C = CommandLine> {
    /// What runs.
    pub command: C,
    /// What it is for, for people.
    pub help: Option<String>,
    /// The names of its arguments, in order.
    pub args: Vec<Name>,
    /// Whether it may run more than once at a time.
    pub parallel: bool,
}

pub type ServiceActions<C = CommandLine> = BTreeMap<Name, ServiceAction<C>>;

/// What precedes the name of an argument in the environment of an action.
const ARGUMENT_PREFIX: &str = "DEVSTACK_ARG_";

/// How a shell command mentions arguments.
const SHELL_ARGUMENTS: [&str; 4] = ["$@", "$*", "${@", "${*"];

impl ServiceAction {
    /// Returns what runs with these values, as many as it has arguments. They are words of their own
    /// for every command: no shell reads them as text.
    pub fn command_with(&self, name: &Name, values: &[String]) -> CommandLine {
        let values = values.iter().map(|value| RedactedText::new(value, "…"));
        match &self.command {
            CommandLine::Exec(words) => {
                CommandLine::Exec(words.iter().cloned().chain(values).collect())
            }
            CommandLine::Shell(_) if self.args.is_empty() => self.command.clone(),
            CommandLine::Shell(text) => {
                let text = match mentions_arguments(text) {
                    true => text.clone(),
                    false => format!("{} \"$@\"", text.trim_end()),
                };
                let shell = ["sh".to_owned(), "-c".to_owned(), text, name.to_string()];
                CommandLine::Exec(shell.into_iter().map(RedactedText::from).chain(values).collect())
            }
        }
    }

    /// Returns the variables that have these values.
    pub fn variables(&self, values: &[String]) -> BTreeMap<String, String> {
        let named = self.args.iter().zip(values);
        named.map(|(name, value)| (argument_variable(name), value.clone())).collect()
    }
}

/// Returns the variable in which an action finds the value of an argument.
pub fn argument_variable(name: &Name) -> String {
    format!("{ARGUMENT_PREFIX}{}", name.to_env_prefix())
}

/// Whether a shell command says itself where its arguments go.
fn mentions_arguments(text: &str) -> bool {
    let numbered = |at: usize| {
        let rest = text[at + 1..].trim_start_matches('{').as_bytes();
        rest.first().is_some_and(|c| (b'1'..=b'9').contains(c))
    };
    SHELL_ARGUMENTS.iter().any(|word| text.contains(word))
        || text.contains(ARGUMENT_PREFIX)
        || text.match_indices('$').any(|(at, _)| numbered(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(command: CommandLine) -> ServiceAction {
        let args = vec![Name::new("count").expect("a valid name")];
        ServiceAction { command, help: None, args, parallel: false }
    }

    fn words(action: &ServiceAction, value: &str) -> Vec<String> {
        let name = Name::new("seed").expect("a valid name");
        match action.command_with(&name, &[value.to_owned()]) {
            CommandLine::Shell(text) => vec![text],
            CommandLine::Exec(words) => words.iter().map(|word| word.expose().to_owned()).collect(),
        }
    }

    #[test]
    fn values_are_words_and_never_text_of_a_shell() {
        let shell = |text: &str| action(CommandLine::Shell(text.to_owned()));
        let hostile = "50; rm -rf \"$HOME\"";
        assert_eq!(
            words(&shell("flask seed\n"), hostile),
            ["sh", "-c", "flask seed \"$@\"", "seed", hostile]
        );
        let exec = action(CommandLine::exec(["flask", "seed"]));
        assert_eq!(words(&exec, hostile), ["flask", "seed", hostile]);
        for placed in [
            "flask seed -n \"$1\" | tee log",
            "seed ${1:-5}",
            "seed \"$@\" --all",
            "seed \"$DEVSTACK_ARG_COUNT\" --all",
        ] {
            assert_eq!(words(&shell(placed), "7")[2], placed);
        }
        assert_eq!(words(&shell("echo $$ $x $0"), "7")[2], "echo $$ $x $0 \"$@\"");
    }

    #[test]
    fn values_are_not_displayed_and_have_variables() {
        let exec = action(CommandLine::exec(["flask", "seed"]));
        let name = Name::new("seed").expect("a valid name");
        assert_eq!(exec.command_with(&name, &["secret".to_owned()]).line(), "flask seed …");
        let variables = exec.variables(&["50".to_owned()]);
        assert_eq!(variables["DEVSTACK_ARG_COUNT"], "50");
    }

    #[test]
    fn a_command_without_arguments_is_that_of_the_file() {
        let plain = ServiceAction { args: Vec::new(), ..action(CommandLine::Shell("a b".into())) };
        let name = Name::new("seed").expect("a valid name");
        assert_eq!(plain.command_with(&name, &[]), plain.command);
    }
}
