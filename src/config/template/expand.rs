use super::{ServiceField, StackField, TemplatePart, WhenUnset};
use crate::config::diagnostics::Span;

pub(in crate::config) trait Expand {
    fn service(&self, service: &str, field: &ServiceField) -> Option<String>;
    fn stack(&self, field: StackField) -> String;
    /// Returns a variable; `Ok(None)` if it is not set.
    fn variable(&mut self, name: &str, at: Span) -> Result<Option<String>, ExpandError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExpandError {
    /// The variable is not set and has no default.
    Missing { name: String, at: Span },
    /// The variable is unset or empty; `message` is from `${VAR:?message}`.
    Required { name: String, message: String, at: Span },
    /// The variables refer to each other: `A → B → A`.
    Cycle { path: String, at: Span },
    /// Variables are nested too deeply.
    TooDeep { at: Span },
    /// The result is larger than any program accepts.
    TooLarge { at: Span },
    /// The results are larger than any program accepts together.
    TooLargeTogether { at: Span },
    /// The service or port does not exist.
    UnknownReference { at: Span },
}

/// Maximum size of a value in bytes. Linux limits a single argument or variable to 128 KiB.
const MAX_VALUE: usize = 1024 * 1024;

pub(in crate::config) fn expand(
    parts: &[TemplatePart],
    at: Span,
    with: &mut impl Expand,
) -> Result<String, ExpandError> {
    if let [TemplatePart::Text(text)] = parts {
        return Ok(text.clone());
    }
    let mut out = String::new();
    for part in parts {
        match part {
            TemplatePart::Text(text) => out.push_str(text),
            TemplatePart::Stack { field, .. } => out.push_str(&with.stack(*field)),
            TemplatePart::Service { service, field, at } => match with.service(service, field) {
                Some(text) => out.push_str(&text),
                None => return Err(ExpandError::UnknownReference { at: *at }),
            },
            TemplatePart::Variable { name, missing, at } => {
                let value = with.variable(name, *at)?;
                out.push_str(&or_missing(value, name, missing, *at, with)?);
            }
        }
        if out.len() > MAX_VALUE {
            return Err(ExpandError::TooLarge { at });
        }
    }
    Ok(out)
}

fn or_missing(
    value: Option<String>,
    name: &str,
    missing: &WhenUnset,
    at: Span,
    with: &mut impl Expand,
) -> Result<String, ExpandError> {
    match (missing, value) {
        (WhenUnset::Fail, Some(value)) => Ok(value),
        (WhenUnset::Fail, None) => Err(ExpandError::Missing { name: name.to_owned(), at }),
        (WhenUnset::Default(_) | WhenUnset::Message(_), Some(value)) if !value.is_empty() => {
            Ok(value)
        }
        (WhenUnset::Default(parts), _) => expand(parts, at, with),
        (WhenUnset::Message(message), _) => {
            Err(ExpandError::Required { name: name.to_owned(), message: message.clone(), at })
        }
    }
}
