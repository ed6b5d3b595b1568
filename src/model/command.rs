use std::fmt;

use crate::text::join;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// A string for `sh -c`.
    Shell(String),
    /// A program with its arguments, executed without a shell; at least one word, except in a container.
    Exec(Vec<RedactedText>),
}

impl CommandLine {
    /// A program with its arguments, executed without a shell; at least one word.
    pub fn exec<W: Into<RedactedText>>(words: impl IntoIterator<Item = W>) -> CommandLine {
        CommandLine::Exec(words.into_iter().map(Into::into).collect())
    }

    /// Returns the command for display, without secrets; not suitable for a shell.
    pub fn line(&self) -> String {
        match self {
            CommandLine::Shell(text) => text.clone(),
            CommandLine::Exec(words) => join(words.iter().map(RedactedText::redacted), " "),
        }
    }
}

/// Text with expanded variables, and a redacted form for display: values from an env file or `env`
/// may be secrets, so the variable's name stands in their place.
#[derive(Clone, PartialEq, Eq)]
pub struct RedactedText {
    text: String,
    redacted: String,
}

impl RedactedText {
    /// Creates a text with its redacted form.
    pub fn new(text: impl Into<String>, shown: impl Into<String>) -> RedactedText {
        RedactedText { text: text.into(), redacted: shown.into() }
    }

    /// Returns the full text, for the system only; never display it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the text for display.
    pub fn redacted(&self) -> &str {
        &self.redacted
    }
}

/// Text without secrets.
impl<T: Into<String>> From<T> for RedactedText {
    fn from(text: T) -> RedactedText {
        let text = text.into();
        RedactedText { redacted: text.clone(), text }
    }
}

/// Debug output appears in traces, so it is redacted too.
impl fmt::Debug for RedactedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.redacted, f)
    }
}

/// Programs that a command requires besides its first word, and how to install them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredPrograms {
    /// Names to look up on `PATH`, or paths relative to the service's directory.
    pub programs: Vec<String>,
    /// What to install, as a phrase.
    pub install: String,
}
