//! Texts, commands and probes in the syntax of the shell.

use std::borrow::Cow;

use crate::model::{
    AcceptedStatus, MissingVariable, PortableCommand, PortableHttp, PortableProbe, PortableText,
    PortableVariable, TextPiece,
};
use crate::text::join;

/// Quotes a word.
pub(super) fn quoted(text: &str) -> Cow<'_, str> {
    shell_words::quote(text)
}

/// Writes a text as one word; open variables are expanded by the shell.
pub(super) fn word(text: &PortableText) -> String {
    match text.as_literal() {
        Some(text) => quoted(text).into_owned(),
        None => format!("\"{}\"", inside_quotes(text)),
    }
}

fn inside_quotes(text: &PortableText) -> String {
    text.render(
        |literal| {
            let special = |c: char| matches!(c, '"' | '\\' | '$' | '`');
            let escaped = literal.chars().map(|c| match special(c) {
                true => format!("\\{c}"),
                false => c.to_string(),
            });
            escaped.collect()
        },
        reference,
    )
}

/// Writes a reference to a variable, for between double quotes.
fn reference(variable: &PortableVariable) -> String {
    let name = &variable.name;
    match &variable.missing {
        MissingVariable::Fail => format!("${{{name}}}"),
        MissingVariable::Default(text) => {
            // A brace would end the reference.
            format!("${{{name}:-{}}}", inside_quotes(text).replace('}', "\\}"))
        }
        MissingVariable::Message(text) => {
            let text: String = text.chars().filter(|c| !"\"\\$`}".contains(*c)).collect();
            format!("${{{name}:?{text}}}")
        }
    }
}

/// Writes a command for the shell. Variables in a shell command are its own affair.
pub(super) fn command(command: &PortableCommand) -> String {
    match command {
        PortableCommand::Shell(text) => raw(text),
        PortableCommand::Exec(words) => join(words.iter().map(word), " "),
    }
}

/// Writes a command as one that replaces the shell.
pub(super) fn exec(command: &PortableCommand) -> String {
    match command {
        PortableCommand::Shell(text) => format!("exec sh -c {}", quoted(&raw(text))),
        PortableCommand::Exec(words) => format!("exec {}", join(words.iter().map(word), " ")),
    }
}

/// Writes a text that is in the syntax of the shell already.
pub(super) fn raw(text: &PortableText) -> String {
    text.render(str::to_owned, reference)
}

/// Quotes a word so that it has no line breaks, which files of lines cannot hold.
pub(super) fn one_line_word(text: &str) -> String {
    if !text.contains(['\n', '\r']) {
        return quoted(text).into_owned();
    }
    let text = text.trim_end_matches('\n').replace('\\', "\\\\");
    let text = text.replace('\n', "\\n").replace('\r', "\\0015");
    format!("\"$(printf %b {})\"", quoted(&text))
}

/// Returns the words that run a command.
pub(super) fn argv(command: &PortableCommand) -> Vec<PortableText> {
    match command {
        PortableCommand::Shell(text) => {
            let mut words: Vec<PortableText> = vec!["sh".into(), "-c".into()];
            words.push(text.clone());
            words
        }
        PortableCommand::Exec(words) => words.clone(),
    }
}

/// Returns a shell command that succeeds if a probe does, with programs that most images have; `None`
/// if there is none.
pub(super) fn probe(probe: &PortableProbe) -> Option<String> {
    match probe {
        PortableProbe::Tcp(port) => Some(format!(
            "{{ nc -z 127.0.0.1 {port} || bash -c '</dev/tcp/127.0.0.1/{port}'; }} 2>/dev/null"
        )),
        PortableProbe::Http(http) => Some(self::http(http)),
        PortableProbe::Exec(command) => Some(self::command(command)),
        PortableProbe::Log
        | PortableProbe::Delay(_)
        | PortableProbe::Notify
        | PortableProbe::Healthcheck => None,
    }
}

fn http(http: &PortableHttp) -> String {
    let url = word(&http.url);
    let insecure = if http.insecure { "k" } else { "" };
    match &http.status {
        AcceptedStatus::NoError => {
            let unchecked = if http.insecure { "--no-check-certificate " } else { "" };
            format!(
                "{{ curl -fs{insecure} -o /dev/null {url} || wget {unchecked}-q -O /dev/null {url}; }}"
            )
        }
        AcceptedStatus::Any => format!("curl -s{insecure} -o /dev/null {url}"),
        AcceptedStatus::Only(list) => {
            let list = join(list, "|");
            format!(
                "case $(curl -s{insecure} -o /dev/null -w '%{{http_code}}' {url}) in {list}) ;; *) false ;; esac"
            )
        }
    }
}

/// Whether a text has open variables anywhere.
pub(super) fn is_open(text: &PortableText) -> bool {
    text.pieces.iter().any(|piece| matches!(piece, TextPiece::Variable(_)))
}
