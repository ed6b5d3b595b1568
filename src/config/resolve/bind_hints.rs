//! How a service that listens on the wrong address can be given its port and host.

use crate::model::{BindHints, CommandLine};
use crate::presets::{Preset, detect_bind_hints};

/// Returns the hints for this command, or else for its preset; `None` if neither is known.
pub(super) fn bind_hints(command: &CommandLine, framework: Option<&Preset>) -> Option<BindHints> {
    let words = command_words(command);
    detect_bind_hints(&words).or_else(|| framework.map(|preset| preset.facts().bind_hints.clone()))
}

/// Splits a command into words; operators of the shell are words of their own. Empty if a quote is
/// not closed.
pub fn command_words(command: &CommandLine) -> Vec<String> {
    match command {
        CommandLine::Exec(words) => words.iter().map(|word| word.expose().to_owned()).collect(),
        CommandLine::Shell(text) => {
            shell_words::split(&text.replace([';', '\n'], " ; ")).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bind_hints;
    use crate::model::CommandLine;
    use crate::presets::find;

    #[test]
    fn the_command_knows_better_than_the_preset() {
        let port = |command: &CommandLine, preset: &str| {
            bind_hints(command, find(preset)).map(|it| it.port)
        };
        let shell = |text: &str| CommandLine::Shell(text.to_owned());
        let gunicorn = shell("cd api; exec gunicorn app:app");
        assert_eq!(port(&gunicorn, "flask").as_deref(), Some("pass --bind $HOST:$PORT"));
        assert_eq!(port(&shell("./serve.py"), "flask").as_deref(), Some("pass --port $PORT"));
        assert_eq!(port(&shell("vite && ./other 'open"), ""), None);
    }

    #[test]
    fn an_array_is_known_by_its_words() {
        let words = ["python", "-m", "flask", "run"].map(Into::into);
        let flask = bind_hints(&CommandLine::Exec(words.into()), None).expect("it is known");
        assert_eq!(flask.port, "pass --port $PORT");
        assert_eq!(flask.host.as_deref(), Some("pass --host $HOST"));
        assert_eq!(flask.port_variable.as_deref(), Some("FLASK_RUN_PORT"));
    }
}
