use std::ffi::{OsStr, OsString};
use std::fmt;
use std::process::{Command, Stdio};

/// A command that reads or changes a trust store: its program and arguments. What is shown to users is
/// what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustCommand(Vec<OsString>);

impl TrustCommand {
    /// Takes the program and its arguments.
    pub fn new<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> TrustCommand {
        TrustCommand(words.into_iter().map(|word| word.as_ref().to_owned()).collect())
    }

    /// Runs it with the terminal of the user, since it may ask for a password; returns its stdout.
    ///
    /// # Errors
    /// Why it could not run, or the last line that it wrote to stderr.
    pub fn run(&self) -> Result<Vec<u8>, String> {
        let (program, arguments) = self.0.split_first().ok_or("empty command")?;
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let output = output
            .map_err(|error| format!("cannot run `{}`: {error}", program.to_string_lossy()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let shown = self.to_string();
        Err(match last {
            Some(line) => format!("`{shown}` failed: {line}"),
            None => format!("`{shown}` failed ({})", output.status),
        })
    }
}

/// As a shell takes it.
impl fmt::Display for TrustCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().map(|word| word.to_string_lossy());
        f.write_str(&shell_words::join(words))
    }
}
