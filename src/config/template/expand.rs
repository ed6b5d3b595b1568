use super::super::place::Place;
use super::{Field, Missing, Part, StackField};

pub(in super::super) trait Expand {
    fn service(&self, service: &str, field: &Field) -> Option<String>;
    fn stack(&self, field: StackField) -> String;
    /// Returns a variable; `Ok(None)` if it is not set.
    fn variable(&mut self, name: &str, at: Place) -> Result<Option<String>, Trouble>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Trouble {
    /// The variable is not set and has no default.
    Missing { name: String, at: Place },
    /// The variable is unset or empty; `message` is from `${VAR:?message}`.
    Required { name: String, message: String, at: Place },
    /// The variables refer to each other: `A → B → A`.
    Cycle { path: String, at: Place },
    /// Variables are nested too deeply.
    Deep { at: Place },
    /// The result is larger than any program accepts.
    Large { at: Place },
    /// The service or port does not exist.
    Unknown { at: Place },
}

/// Maximum size of a value in bytes. Linux limits a single argument or variable to 128 KiB.
const MAX_VALUE: usize = 1024 * 1024;

pub(in super::super) fn expand(
    parts: &[Part],
    at: Place,
    with: &mut impl Expand,
) -> Result<String, Trouble> {
    if let [Part::Text(text)] = parts {
        return Ok(text.clone());
    }
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Stack { field, .. } => out.push_str(&with.stack(*field)),
            Part::Service { service, field, at } => match with.service(service, field) {
                Some(text) => out.push_str(&text),
                None => return Err(Trouble::Unknown { at: *at }),
            },
            Part::Variable { name, missing, at } => {
                let value = with.variable(name, *at)?;
                out.push_str(&or_missing(value, name, missing, *at, with)?);
            }
        }
        if out.len() > MAX_VALUE {
            return Err(Trouble::Large { at });
        }
    }
    Ok(out)
}

fn or_missing(
    value: Option<String>,
    name: &str,
    missing: &Missing,
    at: Place,
    with: &mut impl Expand,
) -> Result<String, Trouble> {
    match (missing, value) {
        (Missing::Fail, Some(value)) => Ok(value),
        (Missing::Fail, None) => Err(Trouble::Missing { name: name.to_owned(), at }),
        (Missing::Default(_) | Missing::Message(_), Some(value)) if !value.is_empty() => Ok(value),
        (Missing::Default(parts), _) => expand(parts, at, with),
        (Missing::Message(message), _) => {
            Err(Trouble::Required { name: name.to_owned(), message: message.clone(), at })
        }
    }
}
