//! An environment as text, for programs and for the terminal.

use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::table::Table;
use crate::config::format_line;
use crate::model::{EnvValue, EnvVariable, EnvView, VariableSource};
use crate::text::escape_control;

/// Maximum width of an aligned column; longer names or values push only their own line.
const MAX_WIDTH: usize = 48;

/// Variables as text, and the names of those that the format cannot represent.
pub(crate) struct EnvText {
    pub text: Vec<u8>,
    pub left_out: Vec<String>,
}

/// Formats variables as in env files, which are UTF-8.
pub(crate) fn dotenv(view: &EnvView) -> EnvText {
    lines(view, |variable| {
        format_line(&variable.name, variable.value.text()?).map(String::into_bytes)
    })
}

/// Formats variables for a shell to evaluate.
pub(crate) fn shell(view: &EnvView) -> EnvText {
    lines(view, |variable| {
        let value = variable.value.get()?.into_vec();
        is_shell_name(&variable.name).then(|| {
            let line = [b"export ", variable.name.as_bytes(), b"=", &shell_quote(&value), b"\n"];
            line.concat()
        })
    })
}

fn lines(view: &EnvView, line: impl Fn(&EnvVariable) -> Option<Vec<u8>>) -> EnvText {
    let mut written = EnvText { text: Vec::new(), left_out: Vec::new() };
    for variable in &view.variables {
        match line(variable) {
            Some(line) => written.text.extend(line),
            None => written.left_out.push(escape_control(&variable.name)),
        }
    }
    written
}

fn is_shell_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Quotes bytes for a shell. `=` is not plain: zsh expands `=ls` to the path of that command.
fn shell_quote(value: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,".contains(byte);
    if !value.is_empty() && value.iter().all(plain) {
        return value.to_vec();
    }
    let mut out = vec![b'\''];
    for byte in value {
        match byte {
            b'\'' => out.extend(b"'\\''"),
            byte => out.push(*byte),
        }
    }
    out.push(b'\'');
    out
}

/// Formats each variable with its source, and below it the values it overrides, strongest first.
pub(crate) fn table(view: &EnvView, here: &Path) -> String {
    let mut table = Table::new(3).max_width(MAX_WIDTH);
    table.header(["VARIABLE", "VALUE", "FROM"], false);
    for variable in &view.variables {
        let from = source_text(&variable.source, here);
        table.row([
            escape_control(&variable.name).into(),
            shown(&variable.value).into(),
            from.into(),
        ]);
        for hidden in &variable.shadows {
            let from = source_text(&hidden.source, here);
            table.row(["  overrides".into(), shown(&hidden.value).into(), from.into()]);
        }
    }
    table.render()
}

fn source_text(source: &VariableSource, here: &Path) -> String {
    let at = |written: &crate::model::SourceLocation| {
        let path = Path::new(&written.file);
        let path = path.strip_prefix(here).unwrap_or(path).display().to_string();
        let main = if written.main_worktree { " of the main worktree" } else { "" };
        format!("{}:{}{main}", escape_control(&path), written.line)
    };
    match source {
        VariableSource::Inherited => "inherited by devstack".to_owned(),
        VariableSource::Preset { preset } => format!("preset {}", escape_control(preset)),
        VariableSource::StackFile(written) => format!("{} (stack env_file)", at(written)),
        VariableSource::StackEnv(written) => format!("{} (stack env)", at(written)),
        VariableSource::ServiceFile(written) => format!("{} (env_file)", at(written)),
        VariableSource::ServiceEnv(written) => format!("{} (env)", at(written)),
        VariableSource::Devstack => "set by devstack".to_owned(),
        VariableSource::PreviousConfig => "configuration before the last edit".to_owned(),
    }
}

/// Formats a value on one line, with control characters escaped.
fn shown(value: &EnvValue) -> String {
    match value.get() {
        Some(value) => escape_control(&value.to_string_lossy()),
        None => "(cannot be expanded)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shell_expands_an_equals_sign() {
        for (value, text) in [("=ls", "'=ls'"), ("bin:=ls", "'bin:=ls'"), ("a/b@c", "a/b@c")] {
            assert_eq!(shell_quote(value.as_bytes()), text.as_bytes());
        }
    }
}
