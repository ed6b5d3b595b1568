//! Places in what a stack reports, as text that programs keep between two reads.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Tells one start of a stack from the others in its directory: numbers of lines and events begin
/// anew with each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StartId(String);

/// Digits of a start. Two starts in one directory are at least as far apart as a digit can show.
const RADIX: u32 = 32;

/// The longest start that is understood.
const MAX_START: usize = 16;

impl StartId {
    /// Names the start at this time, in milliseconds since the Unix epoch.
    pub fn at(millis: u64) -> StartId {
        let mut rest = millis;
        let mut digits = Vec::new();
        loop {
            digits.extend(char::from_digit((rest % u64::from(RADIX)) as u32, RADIX));
            rest /= u64::from(RADIX);
            if rest == 0 {
                return StartId(digits.into_iter().rev().collect());
            }
        }
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StartId {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<StartId, InvalidCursor> {
        let fits = (1..=MAX_START).contains(&text.len());
        let plain = |c: char| c.is_digit(RADIX) && !c.is_ascii_uppercase();
        match fits && text.chars().all(plain) {
            true => Ok(StartId(text.to_owned())),
            false => Err(InvalidCursor),
        }
    }
}

impl TryFrom<String> for StartId {
    type Error = InvalidCursor;

    fn try_from(text: String) -> Result<StartId, InvalidCursor> {
        text.parse()
    }
}

impl From<StartId> for String {
    fn from(start: StartId) -> String {
        start.0
    }
}

/// How far a reader has read, as text: `log-1h2k3m4n-120`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorText {
    pub of: CursorKind,
    /// The start of the stack that the number belongs to.
    pub start: StartId,
    /// In the log: the number of the next line. In the changes: that of the last event.
    pub number: u64,
}

/// What a cursor is a place in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorKind {
    Log,
    Changes,
}

/// Error for a text that is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCursor;

impl fmt::Display for InvalidCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a cursor as `logs --cursor` or `changes` prints it")
    }
}

impl std::error::Error for InvalidCursor {}

impl CursorKind {
    fn prefix(self) -> &'static str {
        match self {
            CursorKind::Log => "log",
            CursorKind::Changes => "changes",
        }
    }
}

impl CursorText {
    /// Creates the cursor of a reader of this start.
    pub fn new(of: CursorKind, start: &StartId, number: u64) -> CursorText {
        CursorText { of, start: start.clone(), number }
    }

    pub fn parse(of: CursorKind, text: &str) -> Result<CursorText, InvalidCursor> {
        let cursor: CursorText = text.parse()?;
        if cursor.of == of { Ok(cursor) } else { Err(InvalidCursor) }
    }

    /// Returns the number to go on with in this start: 0 if the cursor is of another one.
    pub fn number_in(&self, start: Option<&StartId>) -> u64 {
        if start == Some(&self.start) { self.number } else { 0 }
    }
}

impl fmt::Display for CursorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.of.prefix(), self.start.as_str(), self.number)
    }
}

impl FromStr for CursorText {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<CursorText, InvalidCursor> {
        let mut parts = text.split('-');
        let kinds = [CursorKind::Log, CursorKind::Changes];
        let of = parts.next().and_then(|prefix| kinds.into_iter().find(|of| of.prefix() == prefix));
        let (start, number) = (parts.next(), parts.next());
        let (Some(of), Some(start), Some(number), None) = (of, start, number, parts.next()) else {
            return Err(InvalidCursor);
        };
        let plain = number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| plain).ok_or(InvalidCursor)?;
        Ok(CursorText { of, start: start.parse()?, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_their_text_and_nothing_else_is_one() {
        for (of, number) in [(CursorKind::Log, 0), (CursorKind::Changes, u64::MAX)] {
            let cursor = CursorText::new(of, &StartId::at(1_796_223_949_937), number);
            assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
            assert_eq!(CursorText::parse(of, &cursor.to_string()), Ok(cursor));
        }
        assert_eq!(CursorText::new(CursorKind::Log, &StartId::at(33), 7).to_string(), "log-11-7");
        for text in [
            "",
            "log",
            "log-1",
            "log--1",
            "log-1-",
            "log-1-x",
            "log-1-+1",
            "log-1--1",
            "log-z-1",
            "log-A-1",
            "log-1-1-1",
            "feed-1-1",
            "log-11111111111111111-1",
            "log-1-18446744073709551616",
        ] {
            assert_eq!(text.parse::<CursorText>(), Err(InvalidCursor), "{text}");
        }
        assert_eq!(CursorText::parse(CursorKind::Log, "changes-1-1"), Err(InvalidCursor));
    }
}
