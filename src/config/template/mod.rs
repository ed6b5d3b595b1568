//! Texts with references: `${db.url}`, `${VAR:-default}`.

mod expand;
mod parse;

pub(super) use expand::{Expand, Trouble, expand};
pub(super) use parse::{Parser, Syntax};

use super::place::Place;

/// How many parts a simple text has: with each a path of 4 KiB it is still far below the limit.
const MAX_SIMPLE: usize = 64;

/// A text with the references in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    /// Text and references in turn.
    pub parts: Vec<Part>,
    /// Where the whole text was written.
    pub at: Place,
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// Stands as it is.
    Text(String),
    /// `${db.url}`: something about a service.
    Service { service: String, field: Field, at: Place },
    /// `${stack.name}`, `${stack.dir}`.
    Stack { field: StackField, at: Place },
    /// `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR:?message}`.
    Variable { name: String, missing: Missing, at: Place },
}

/// What can be asked of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// `http://HOST:PORT` of the main port.
    Url,
    /// The address to connect to.
    Host,
    /// The main port, or the one of this name.
    Port(Option<String>),
}

/// What can be asked of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StackField {
    /// Its name.
    Name,
    /// Its folder.
    Dir,
}

/// What to do when a variable is not set.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Missing {
    /// It is a mistake.
    Fail,
    /// Take this; also when the variable is empty.
    Default(Vec<Part>),
    /// It is a mistake and this says why; also when the variable is empty.
    Message(String),
}

impl Template {
    /// A text without references.
    pub fn plain(text: impl Into<String>, at: Place) -> Template {
        Template { parts: vec![Part::Text(text.into())], at }
    }

    /// Whether it needs no look at an environment and cannot become too large: whatever else is
    /// wrong with it was found when it was read.
    pub fn is_simple(&self) -> bool {
        let variable = |part: &Part| matches!(part, Part::Variable { .. });
        self.parts.len() <= MAX_SIMPLE && !self.parts.iter().any(variable)
    }

    /// The number of bytes it has without what references stand for.
    pub fn len(&self) -> usize {
        (self.at.end - self.at.start) as usize
    }

    /// The whole text, when there are no references in it.
    pub fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Calls `see` with every service that is referred to, also within defaults.
    pub fn services<'a>(&'a self, see: &mut dyn FnMut(&'a str, &'a Field, Place)) {
        walk(&self.parts, see);
    }
}

fn walk<'a>(parts: &'a [Part], see: &mut dyn FnMut(&'a str, &'a Field, Place)) {
    for part in parts {
        match part {
            Part::Service { service, field, at } => see(service, field, *at),
            Part::Variable { missing: Missing::Default(parts), .. } => walk(parts, see),
            Part::Variable { missing: Missing::Fail | Missing::Message(_), .. }
            | Part::Text(_)
            | Part::Stack { .. } => {}
        }
    }
}
