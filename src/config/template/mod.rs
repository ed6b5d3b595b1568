//! Texts with references: `${db.url}`, `${VAR:-default}`.

mod expand;
mod parse;

pub(super) use expand::{Expand, Trouble, expand};
pub(super) use parse::{Parser, Syntax};

use super::place::Place;

/// Even if each part is a path of 4 KiB, such a text stays far below the size limit.
const MAX_SIMPLE: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    pub parts: Vec<Part>,
    /// The span of the whole text.
    pub at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// Literal text.
    Text(String),
    /// `${db.url}`: a field of a service.
    Service { service: String, field: Field, at: Place },
    /// `${stack.name}`, `${stack.dir}`.
    Stack { field: StackField, at: Place },
    /// `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR:?message}`.
    Variable { name: String, missing: Missing, at: Place },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// `http://HOST:PORT` of the main port.
    Url,
    /// The address to connect to.
    Host,
    /// The main port, or the port with this name.
    Port(Option<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StackField {
    Name,
    Dir,
}

/// What to do if a variable is not set.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Missing {
    Fail,
    /// Use this default, also if the variable is empty.
    Default(Vec<Part>),
    /// Report an error with this message, also if the variable is empty.
    Message(String),
}

impl Template {
    pub fn plain(text: impl Into<String>, at: Place) -> Template {
        Template { parts: vec![Part::Text(text.into())], at }
    }

    /// Whether it can be expanded without an environment and cannot exceed the size limit. Other
    /// errors were found when it was parsed.
    pub fn is_simple(&self) -> bool {
        let variable = |part: &Part| matches!(part, Part::Variable { .. });
        self.parts.len() <= MAX_SIMPLE && !self.parts.iter().any(variable)
    }

    /// The number of bytes without the values of references.
    pub fn len(&self) -> usize {
        (self.at.end - self.at.start) as usize
    }

    /// Returns the whole text if it has no references.
    pub fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Calls `see` for every referenced service, including those in defaults.
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
