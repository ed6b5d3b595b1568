use regex::bytes::Regex;

use crate::model::{Message, MessageClass};

/// Regular expression to search lines for.
#[derive(Debug, Clone)]
pub struct LogPattern(Regex);

impl LogPattern {
    /// Maximum size of the compiled regex in bytes: a client must not fill the supervisor's memory.
    const SIZE: usize = 1024 * 1024;

    /// Compiles a regular expression; a leading `(?i)` ignores case.
    ///
    /// # Errors
    /// The message points at the mistake.
    pub fn new(text: &str) -> Result<LogPattern, Message> {
        let regex = regex::bytes::RegexBuilder::new(text).size_limit(Self::SIZE).build();
        regex.map(LogPattern).map_err(|error| {
            Message::new(MessageClass::Usage, format!("invalid regular expression: {error}"))
        })
    }

    /// Returns the compiled regex.
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

impl PartialEq for LogPattern {
    fn eq(&self, other: &LogPattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for LogPattern {}
