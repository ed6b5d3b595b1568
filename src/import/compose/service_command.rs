//! The command of a service: from the Compose file, else from its Dockerfile.

use super::dockerfile::{DockerCommand, DockerCommandForm, DockerStage};
use crate::import::ImportedCommand;
use crate::import::substitution::{escape, to_shell, to_template, with_defaults};
use crate::import::yaml::YamlNode;

/// The longest command, in bytes. Linux limits a single argument to 128 KiB.
pub(super) const MAX_COMMAND: usize = 128 * 1024;

/// Returns what starts the container of a service; `None` if neither says it. `node` has the keys
/// of the service.
pub(super) fn service_command(
    node: &YamlNode,
    stage: Option<&DockerStage>,
) -> Option<ImportedCommand> {
    let entrypoint = node.get("entrypoint").map(compose_words);
    let command = node.get("command").map(compose_words);
    let from_image = entrypoint.is_none();
    let image_cmd = || stage.and_then(|stage| stage.cmd.as_ref()).map(|cmd| &cmd.form);
    let words = match (entrypoint, stage.and_then(|stage| stage.entrypoint.as_ref())) {
        (Some(words), _) => words,
        (None, Some(DockerCommand { form: DockerCommandForm::Shell(text), .. })) => {
            // It ignores all words that follow.
            return Some(ImportedCommand::Shell(text.clone()));
        }
        (None, Some(DockerCommand { form: DockerCommandForm::Words(words), .. })) => {
            words.iter().map(|word| escape(word)).collect()
        }
        (None, None) => Vec::new(),
    };
    let rest = match (command, image_cmd()) {
        (Some(words), _) => words,
        // An entry point in the Compose file voids the command of the image.
        (None, Some(DockerCommandForm::Words(words))) if from_image => {
            words.iter().map(|word| escape(word)).collect()
        }
        (None, Some(DockerCommandForm::Shell(text))) if from_image => {
            if words.is_empty() {
                return Some(ImportedCommand::Shell(text.clone()));
            }
            vec!["sh".to_owned(), "-c".to_owned(), escape(text)]
        }
        (None, _) => Vec::new(),
    };
    let words: Vec<String> = words.into_iter().chain(rest).collect();
    (!words.is_empty()).then(|| simplest(words))
}

/// Returns the words of a command, which no shell sees, in the syntax of `devstack.toml`.
pub(super) fn compose_words(node: &YamlNode) -> Vec<String> {
    match node.scalar() {
        Some(text) if text.len() > MAX_COMMAND => {
            node.note("not carried over: it is longer than a command can be");
            Vec::new()
        }
        Some(text) => match shell_words::split(text) {
            Ok(words) => words.iter().map(|word| to_template(word, node)).collect(),
            Err(_) => {
                node.note("carried over as one command for the shell: a quote is missing");
                vec!["sh".to_owned(), "-c".to_owned(), to_template(text, node)]
            }
        },
        None => {
            let words = node.items().iter();
            words.filter_map(|word| Some(to_template(word.text()?, word))).collect()
        }
    }
}

/// Returns a command that is only `sh -c TEXT` as its text: devstack has a shell too.
fn simplest(words: Vec<String>) -> ImportedCommand {
    match words.as_slice() {
        [shell, option, text] if is_shell(shell) && matches!(option.as_str(), "-c" | "-ec") => {
            let text = to_shell(text);
            ImportedCommand::Shell(match option.as_str() {
                "-ec" => format!("set -e\n{}", text.trim_end()),
                _ => text.trim_end().to_owned(),
            })
        }
        _ => ImportedCommand::Words(words),
    }
}

fn is_shell(word: &str) -> bool {
    matches!(word, "sh" | "/bin/sh")
}

/// Puts the assigned host and port in the place of those of the container, where that is certain:
/// `0.0.0.0:8000`, `--port 8000`, `runserver 8000`. Returns whether the port was replaced.
pub(super) fn bind_to_assigned(command: &mut ImportedCommand, port: u16) -> bool {
    let port = port.to_string();
    let mut replaced = false;
    let mut bind = |word: &str, before: &str| {
        let bound = bound_word(word, before, &port)?;
        replaced |= bound.contains("${PORT}");
        Some(bound)
    };
    match command {
        ImportedCommand::Words(words) => {
            for at in 0..words.len() {
                let before = at.checked_sub(1).map_or("", |before| words[before].as_str());
                if let Some(bound) = bind(&words[at], before) {
                    words[at] = bound;
                }
            }
        }
        ImportedCommand::Shell(text) => {
            let mut before = "";
            let mut bound = String::new();
            for piece in text.split_inclusive(char::is_whitespace) {
                let word = piece.trim_end();
                let inner = word.trim_matches(['"', '\'']);
                match bind(inner, before) {
                    Some(new) => bound.push_str(&piece.replacen(inner, &new, 1)),
                    None => bound.push_str(piece),
                }
                before = word;
            }
            *text = bound;
        }
    }
    replaced
}

fn bound_word(word: &str, before: &str, port: &str) -> Option<String> {
    let (option, value) = match word.split_once('=') {
        Some((option, value)) if option.starts_with('-') => (option, value),
        _ => (before, word),
    };
    let bound = if let Some(head) = value.strip_suffix(port) {
        let takes_port = matches!(option, "-p" | "-P" | "--port" | "http.server" | "runserver");
        let takes_address = matches!(option, "-b" | "--bind" | "--listen" | "--addr" | "--address");
        let address = head.strip_suffix("0.0.0.0:").or_else(|| head.strip_suffix("[::]:"));
        match (address, head) {
            (Some(before @ ("" | "tcp://" | "http://")), _) => {
                format!("{before}${{HOST}}:${{PORT}}")
            }
            (None, ":") if takes_address => "${HOST}:${PORT}".to_owned(),
            (None, "") if takes_port => "${PORT}".to_owned(),
            _ => return None,
        }
    } else if matches!(value, "0.0.0.0" | "[::]" | "::") {
        "${HOST}".to_owned()
    } else {
        return None;
    };
    Some(match value.len() == word.len() {
        true => bound,
        false => format!("{option}={bound}"),
    })
}

/// Returns a path of the service, such as `working_dir`, without variables.
pub(super) fn plain_path(node: &YamlNode) -> Option<String> {
    Some(with_defaults(node.text()?, node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_the_container_is_replaced_only_where_it_is_certain() {
        for (text, bound) in [
            ("gunicorn -b 0.0.0.0:8000 app:app", "gunicorn -b ${HOST}:${PORT} app:app"),
            ("uvicorn app --host 0.0.0.0 --port 8000", "uvicorn app --host ${HOST} --port ${PORT}"),
            ("uvicorn app --host=0.0.0.0 --port=8000", "uvicorn app --host=${HOST} --port=${PORT}"),
            ("manage.py runserver 0.0.0.0:8000", "manage.py runserver ${HOST}:${PORT}"),
            ("python -m http.server 8000", "python -m http.server ${PORT}"),
            ("puma -b tcp://0.0.0.0:8000", "puma -b tcp://${HOST}:${PORT}"),
            ("gunicorn --bind :8000", "gunicorn --bind ${HOST}:${PORT}"),
            ("sleep 8000", "sleep 8000"),
            ("app --port 18000 --size=8000", "app --port 18000 --size=8000"),
            ("app 10.0.0.0:8000", "app 10.0.0.0:8000"),
        ] {
            let mut shell = ImportedCommand::Shell(text.to_owned());
            let replaced = bind_to_assigned(&mut shell, 8000);
            assert_eq!(shell, ImportedCommand::Shell(bound.to_owned()));
            let split = |text: &str| text.split(' ').map(str::to_owned).collect();
            let mut words = ImportedCommand::Words(split(text));
            assert_eq!(bind_to_assigned(&mut words, 8000), replaced);
            assert_eq!(words, ImportedCommand::Words(split(bound)));
            assert_eq!(replaced, bound.contains("${PORT}"), "{text}");
        }
        let mut quoted = ImportedCommand::Shell("a -b \"0.0.0.0:80\" && b".to_owned());
        assert!(bind_to_assigned(&mut quoted, 80));
        assert_eq!(quoted, ImportedCommand::Shell("a -b \"${HOST}:${PORT}\" && b".to_owned()));
    }
}
