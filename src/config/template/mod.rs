//! Texts with references: `${db.url}`, `${VAR:-default}`.

mod expand;
mod parse;

pub(super) use expand::{Expand, ExpandError, expand};
pub(super) use parse::{TemplateParser, TemplateSyntax, closing_brace, variable_length};

use super::diagnostics::Span;

/// Even if each part is a path of 4 KiB, such a text stays far below the size limit.
const MAX_SIMPLE_PARTS: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    pub parts: Vec<TemplatePart>,
    /// The span of the whole text.
    pub at: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TemplatePart {
    /// Literal text.
    Text(String),
    /// `${db.url}`: a field of a service.
    Service { service: String, field: ServiceField, at: Span },
    /// `${stack.name}`, `${stack.dir}`, `${host.inside}`.
    Stack { field: StackField, at: Span },
    /// `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR:?message}`.
    Variable { name: String, missing: WhenUnset, at: Span },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServiceField {
    /// `http://HOST:PORT` of the main port.
    Url,
    /// Its name in browsers, or its URL without the proxy.
    Origin,
    /// The address to connect to.
    Host,
    /// The main port, or the port with this name.
    Port(Option<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StackField {
    Name,
    /// The directory of the file that refers to it.
    Dir,
    /// The directory of the main file, which has `.devstack`.
    ProjectDir,
    /// `${host.inside}`: the name of this machine in containers.
    HostInside,
}

/// What to do if a variable is not set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WhenUnset {
    Fail,
    /// Use this default, also if the variable is empty.
    Default(Vec<TemplatePart>),
    /// Report an error with this message, also if the variable is empty.
    Message(String),
}

impl Template {
    pub fn plain(text: impl Into<String>, at: Span) -> Template {
        Template { parts: vec![TemplatePart::Text(text.into())], at }
    }

    /// Whether it can be expanded without an environment and cannot exceed the size limit. Other
    /// errors were found when it was parsed.
    pub fn is_simple(&self) -> bool {
        let variable = |part: &TemplatePart| matches!(part, TemplatePart::Variable { .. });
        self.parts.len() <= MAX_SIMPLE_PARTS && !self.parts.iter().any(variable)
    }

    /// The number of bytes without the values of references.
    pub fn len(&self) -> usize {
        (self.at.end - self.at.start) as usize
    }

    /// Returns the whole text if it has no references.
    pub fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [TemplatePart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns the text as written, with `$` in place of each reference.
    pub fn static_text(&self) -> String {
        let part = |part: &TemplatePart| match part {
            TemplatePart::Text(text) => text.clone(),
            TemplatePart::Service { .. }
            | TemplatePart::Stack { .. }
            | TemplatePart::Variable { .. } => "$".to_owned(),
        };
        self.parts.iter().map(part).collect()
    }

    /// Whether its literal text contains this word, as a shell command may that refers to a variable.
    pub fn mentions(&self, word: &str) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, TemplatePart::Text(text) if text.contains(word)))
    }

    /// Calls `see` for every referenced service, including those in defaults.
    pub fn services<'a>(&'a self, see: &mut dyn FnMut(&'a str, &'a ServiceField, Span)) {
        visit_services(&self.parts, see);
    }
}

fn visit_services<'a>(
    parts: &'a [TemplatePart],
    see: &mut dyn FnMut(&'a str, &'a ServiceField, Span),
) {
    for part in parts {
        match part {
            TemplatePart::Service { service, field, at } => see(service, field, *at),
            TemplatePart::Variable { missing: WhenUnset::Default(parts), .. } => {
                visit_services(parts, see)
            }
            TemplatePart::Variable { missing: WhenUnset::Fail | WhenUnset::Message(_), .. }
            | TemplatePart::Text(_)
            | TemplatePart::Stack { .. } => {}
        }
    }
}
