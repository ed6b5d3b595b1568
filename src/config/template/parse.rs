use std::ops::Range;
use std::path::Path;

use super::{ServiceField, StackField, Template, TemplatePart, WhenUnset};
use crate::config::diagnostics::{LoadReport, Span, did_you_mean, quote};

/// How deeply defaults may nest further references.
const MAX_NESTING: usize = 8;

/// Fields of a service, for "did you mean".
const FIELDS: &[&str] = &["url", "origin", "host", "port"];

/// Which references a text may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum TemplateSyntax {
    /// All references; `$$` is a dollar sign. For `env` values and arrays.
    Full,
    /// No variables; everything else is kept byte for byte. For shell commands and other texts
    /// where a dollar sign has its own meaning.
    References,
}

pub(in crate::config) struct TemplateParser<'a> {
    /// Returns the name in the stack of the service that the file calls by this name.
    pub find_service: &'a dyn Fn(&str) -> Option<String>,
    pub report: &'a mut LoadReport,
}

impl TemplateParser<'_> {
    pub fn parse(&mut self, text: &str, at: Span, syntax: TemplateSyntax) -> Template {
        if !text.contains('$') {
            return Template::plain(text, at);
        }
        let origin = self.origin(text, at);
        let mut reader = TemplateReader { parser: self, text, at, origin, syntax };
        let parts = reader.parts(0..text.len(), 0);
        Template { parts, at }
    }

    /// Returns the offset of `text` in the file if it is there verbatim. With escapes in it,
    /// positions in the text do not match positions in the file.
    fn origin(&self, text: &str, at: Span) -> Option<u32> {
        let written = self.report.text(at.file).get(at.start as usize..at.end as usize)?;
        let inner = written.strip_prefix("\"\"\"").or_else(|| written.strip_prefix("'''"));
        // In a Procfile, texts have no quotes.
        let inner = inner.or_else(|| written.strip_prefix(['"', '\''])).unwrap_or(written);
        let inner = inner.strip_prefix('\n').unwrap_or(inner);
        let quotes = written.len() - inner.len();
        inner.starts_with(text).then_some(at.start + quotes as u32)
    }
}

struct TemplateReader<'p, 'a, 't> {
    parser: &'p mut TemplateParser<'a>,
    text: &'t str,
    at: Span,
    origin: Option<u32>,
    syntax: TemplateSyntax,
}

/// The part that a dollar sign starts, and the offset after it.
type ParsedReference = Option<(TemplatePart, usize)>;

impl TemplateReader<'_, '_, '_> {
    fn place(&self, range: Range<usize>) -> Span {
        match self.origin {
            Some(origin) => Span {
                file: self.at.file,
                start: origin + range.start as u32,
                end: origin + range.end as u32,
            },
            None => self.at,
        }
    }

    fn fault(&mut self, range: Range<usize>, text: String, help: String) {
        self.parser.report.error_at(self.place(range), text, help);
    }

    fn parts(&mut self, range: Range<usize>, depth: usize) -> Vec<TemplatePart> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut i = range.start;
        while i < range.end {
            let rest = &self.text[i..range.end];
            let Some(next) = rest.find(['$', '\\']) else {
                plain.push_str(rest);
                break;
            };
            plain.push_str(&rest[..next]);
            i += next;
            let (kept, length) = self.escape_at(i, range.end);
            if length > 0 {
                plain.push_str(kept);
                i += length;
                continue;
            }
            match self.dollar_at(i, range.end, depth) {
                Some((part, end)) => {
                    if !plain.is_empty() {
                        parts.push(TemplatePart::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(part);
                    i = end;
                }
                None => {
                    plain.push('$');
                    i += 1;
                }
            }
        }
        if !plain.is_empty() {
            parts.push(TemplatePart::Text(plain));
        }
        mark_state_dir(&mut parts);
        parts
    }

    /// Returns an escape at `i` and its length: `$$`, or in shell text a backslash and its
    /// character.
    fn escape_at(&self, i: usize, end: usize) -> (&str, usize) {
        let rest = &self.text[i..end];
        match self.syntax {
            TemplateSyntax::Full if rest.starts_with("$$") => ("$", 2),
            TemplateSyntax::Full if rest.starts_with('\\') => ("\\", 1),
            TemplateSyntax::References if rest.starts_with("$$") => ("$$", 2),
            TemplateSyntax::References if rest.starts_with('\\') => {
                let length = rest.chars().take(2).map(char::len_utf8).sum();
                (&rest[..length], length)
            }
            TemplateSyntax::Full | TemplateSyntax::References => ("", 0),
        }
    }

    /// Parses what the dollar sign at `i` starts; `None` for a literal dollar sign.
    fn dollar_at(&mut self, i: usize, end: usize, depth: usize) -> ParsedReference {
        let after = &self.text[i + 1..end];
        if let Some(inner) = after.strip_prefix('{') {
            if let Some(found) = self.reference(i, inner) {
                return Some(found);
            }
            return match self.syntax {
                TemplateSyntax::Full => self.braced_variable(i, end, depth),
                TemplateSyntax::References => None,
            };
        }
        let length = variable_length(after);
        if length == 0 || self.syntax == TemplateSyntax::References {
            return None;
        }
        let name = after[..length].to_owned();
        let at = self.place(i..i + 1 + length);
        Some((TemplatePart::Variable { name, missing: WhenUnset::Fail, at }, i + 1 + length))
    }

    /// Parses `${service.field}` or `${stack.field}`.
    fn reference(&mut self, i: usize, inner: &str) -> ParsedReference {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let dot = inner.find(|c| !word(c)).filter(|&dot| dot > 0)?;
        let (head, rest) = (&inner[..dot], inner[dot..].strip_prefix('.')?);
        let close = rest.find(|c| !word(c) && c != '.')?;
        let field = &rest[..close];
        if !rest[close..].starts_with('}') || !self.is_reference(head, field) {
            return None;
        }
        let end = i + 2 + dot + 1 + close + 1;
        let at = self.place(i..end);
        if let ("stack", Some(field)) = (head, stack_field(field)) {
            return Some((TemplatePart::Stack { field, at }, end));
        }
        if (head, field) == ("host", "inside") {
            return Some((TemplatePart::Stack { field: StackField::HostInside, at }, end));
        }
        let service = (self.parser.find_service)(head);
        if head == "stack" && service.is_none() {
            let text = format!("unknown stack field {}", quote(field));
            self.fault(i..end, text, "use `${stack.name}` or `${stack.dir}`".into());
            return Some((TemplatePart::Text(String::new()), end));
        }
        let Some(field) = service_field(field) else {
            let text = format!("unknown service field {}", quote(field));
            let help = did_you_mean(field, FIELDS.iter().copied(), || {
                format!("use `${{{head}.url}}`, `${{{head}.host}}` or `${{{head}.port}}`")
            });
            self.fault(i..end, text, help);
            return Some((TemplatePart::Text(String::new()), end));
        };
        // One that does not exist is reported later.
        let service = service.unwrap_or_else(|| head.to_owned());
        Some((TemplatePart::Service { service, field, at }, end))
    }

    /// Whether `${head.field}` is meant for devstack. `${x-1.5}` is valid in a shell, so in shell
    /// text it must name an existing service or the stack.
    fn is_reference(&self, head: &str, field: &str) -> bool {
        match self.syntax {
            TemplateSyntax::Full => true,
            TemplateSyntax::References => {
                head == "stack"
                    || (head, field) == ("host", "inside")
                    || (self.parser.find_service)(head).is_some()
                    || service_field(field).is_some()
            }
        }
    }

    /// Parses `${VAR}` and its forms.
    fn braced_variable(&mut self, i: usize, end: usize, depth: usize) -> ParsedReference {
        let inner = &self.text[i + 2..end];
        let Some(close) = closing_brace(inner) else {
            let text = "missing `}` after `${`".to_owned();
            self.fault(i..i + 2, text, "add `}`, or write `$$` for a literal dollar sign".into());
            return Some((TemplatePart::Text(String::new()), end));
        };
        let after = i + 2 + close + 1;
        let length = variable_length(inner);
        let (name, form) = (&inner[..length], &inner[length..close]);
        let missing = if length == 0 {
            None
        } else if form.is_empty() {
            Some(WhenUnset::Fail)
        } else if let Some(message) = form.strip_prefix(":?") {
            Some(WhenUnset::Message(message.to_owned()))
        } else if form.starts_with(":-") && depth < MAX_NESTING {
            let start = i + 2 + length + 2;
            Some(WhenUnset::Default(self.parts(start..i + 2 + close, depth + 1)))
        } else {
            None
        };
        let Some(missing) = missing else {
            let text = format!("invalid reference {}", quote(&self.text[i..after]));
            let help = "use `${VAR}`, `${VAR:-default}`, `${VAR:?message}` or `${service.url}`; write `$$` for a literal dollar sign";
            self.fault(i..after, text, help.into());
            return Some((TemplatePart::Text(String::new()), after));
        };
        let at = self.place(i..after);
        Some((TemplatePart::Variable { name: name.to_owned(), missing, at }, after))
    }
}

/// Makes `${stack.dir}/.devstack` mean the state directory of the stack, also in an included file.
fn mark_state_dir(parts: &mut [TemplatePart]) {
    for at in 1..parts.len() {
        if let [TemplatePart::Stack { field, .. }, TemplatePart::Text(text)] =
            &mut parts[at - 1..=at]
            && *field == StackField::Dir
            && Path::new(text).starts_with("/.devstack")
        {
            *field = StackField::ProjectDir;
        }
    }
}

/// Returns the length of the variable name at the start of `text`, in bytes.
pub(in crate::config) fn variable_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Returns the offset of the brace that closes the one before `text`, skipping nested `${…}`.
pub(in crate::config) fn closing_brace(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut i) = (0usize, 0);
    while i < bytes.len() {
        match (bytes[i], bytes.get(i + 1)) {
            (b'$', Some(b'$')) => i += 1,
            (b'$', Some(b'{')) => {
                depth += 1;
                i += 1;
            }
            (b'}', _) if depth == 0 => return Some(i),
            (b'}', _) => depth -= 1,
            _ => {}
        }
        i += 1;
    }
    None
}

fn stack_field(text: &str) -> Option<StackField> {
    match text {
        "name" => Some(StackField::Name),
        "dir" => Some(StackField::Dir),
        _ => None,
    }
}

fn service_field(text: &str) -> Option<ServiceField> {
    match text {
        "url" => Some(ServiceField::Url),
        "origin" => Some(ServiceField::Origin),
        "host" => Some(ServiceField::Host),
        "port" => Some(ServiceField::Port(None)),
        _ => text.strip_prefix("port.").map(|name| ServiceField::Port(Some(name.to_owned()))),
    }
}
