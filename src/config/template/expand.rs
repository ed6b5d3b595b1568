use super::super::place::Place;
use super::{Field, Missing, Part, StackField};

/// Answers what a text refers to.
pub(in super::super) trait Expand {
    /// Something about a service; `None` when there is no such service or port.
    fn service(&self, service: &str, field: &Field) -> Option<String>;
    /// Something about the stack.
    fn stack(&self, field: StackField) -> String;
    /// A variable; `Ok(None)` when it is not set.
    fn variable(&mut self, name: &str, at: Place) -> Result<Option<String>, Trouble>;
}

/// Why a text cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Trouble {
    /// The variable is not set and has no default.
    Missing { name: String, at: Place },
    /// The variable is not set or empty, and this is what its author says about it.
    Required { name: String, message: String, at: Place },
    /// The variables need each other: `A → B → A`.
    Cycle { path: String, at: Place },
    /// Variables refer to variables too deep.
    Deep { at: Place },
    /// The result is larger than any program could be given.
    Large { at: Place },
    /// The service or port that is referred to does not exist.
    Unknown { at: Place },
}

/// The longest value, in bytes. Linux gives a program no longer one than 128 KiB.
const MAX_VALUE: usize = 1024 * 1024;

/// The text of `parts` with every reference replaced.
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
