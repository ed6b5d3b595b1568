use regex::bytes::Regex;

use crate::model::{Class, Message};

/// A regular expression that lines are searched for.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// The most bytes its compiled form may take: who asks may not fill the supervisor's memory.
    const SIZE: usize = 1024 * 1024;

    /// Reads a regular expression; `(?i)` at its beginning ignores case.
    ///
    /// # Errors
    /// Says where the mistake is.
    pub fn new(text: &str) -> Result<Pattern, Message> {
        let regex = regex::bytes::RegexBuilder::new(text).size_limit(Self::SIZE).build();
        regex.map(Pattern).map_err(|error| {
            Message::new(Class::Usage, format!("not a regular expression: {error}"))
        })
    }

    /// What searches.
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}
