use std::collections::{BTreeMap, BTreeSet};

use crate::config::template::{closing_brace, variable_length};

/// Of all values of a file together, in bytes: each could double the one before.
const MAX_TOTAL: usize = 1024 * 1024;

/// How many references that are not set are kept for each file: each becomes a note.
const MAX_UNSET: usize = 20;

/// How deeply defaults may nest further references.
const MAX_NESTING: usize = 8;

/// Replaces `${NAME}` and `${NAME:-default}` in the values of one env file. Every other dollar sign
/// is kept, because passwords and hashes contain them; only `$${` is a literal `${`.
pub(super) struct Interpolator<'a> {
    outer: &'a BTreeMap<String, String>,
    /// From earlier lines.
    defined: BTreeMap<String, String>,
    unset: UnsetReferences,
    total: usize,
}

/// The references of a file that were replaced by nothing.
#[derive(Debug, Default)]
pub(super) struct UnsetReferences {
    /// Each name once for each value.
    pub first: Vec<UnsetReference>,
    /// How many others there are.
    pub more: usize,
}

/// A reference that was replaced by nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnsetReference {
    pub name: String,
    /// The variable whose value has the reference, and its offset in the file.
    pub within: String,
    pub offset: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InterpolateError {
    MissingBrace,
    Invalid,
    TooLarge,
}

impl InterpolateError {
    pub fn text(self) -> &'static str {
        match self {
            InterpolateError::MissingBrace => "missing `}` after `${`",
            InterpolateError::Invalid => "invalid reference",
            InterpolateError::TooLarge => "expanded values exceed 1 MiB",
        }
    }

    pub fn help(self) -> &'static str {
        match self {
            InterpolateError::MissingBrace => {
                "add it, or use single quotes to keep the value as it is"
            }
            InterpolateError::Invalid => {
                "use ${NAME} or ${NAME:-default}, or single quotes to keep the value as it is; references to services work in `env` of devstack.toml"
            }
            InterpolateError::TooLarge => "reduce them: no program accepts variables of this size",
        }
    }
}

impl<'a> Interpolator<'a> {
    pub fn new(outer: &'a BTreeMap<String, String>) -> Interpolator<'a> {
        Interpolator {
            outer,
            defined: BTreeMap::new(),
            unset: UnsetReferences::default(),
            total: 0,
        }
    }

    /// Makes a variable known to later lines.
    pub fn define(&mut self, name: &str, value: &str) {
        self.defined.insert(name.to_owned(), value.to_owned());
    }

    pub fn unset(self) -> UnsetReferences {
        self.unset
    }

    /// Replaces the references in a value of `within`, which is at `offset`.
    pub fn replace(
        &mut self,
        text: &str,
        escaped: &[usize],
        within: &str,
        offset: usize,
    ) -> Result<String, InterpolateError> {
        let mut unset = Vec::new();
        let mut seen = BTreeSet::new();
        let mut out = String::new();
        self.replace_in(text, (0, text.len()), escaped, 0, &mut unset, &mut out)?;
        self.total += out.len();
        for name in unset.into_iter().filter(|name| seen.insert(*name)) {
            if self.unset.first.len() == MAX_UNSET {
                self.unset.more += 1;
                continue;
            }
            let (name, within) = (name.to_owned(), within.to_owned());
            self.unset.first.push(UnsetReference { name, within, offset });
        }
        Ok(out)
    }

    fn replace_in<'t>(
        &self,
        text: &'t str,
        (mut at, end): (usize, usize),
        escaped: &[usize],
        depth: usize,
        unset: &mut Vec<&'t str>,
        out: &mut String,
    ) -> Result<(), InterpolateError> {
        while let Some(found) = text[at..end].find("${") {
            let dollar = at + found;
            let inner = dollar + 2;
            if escaped.binary_search(&dollar).is_ok() {
                out.push_str(&text[at..inner]);
                at = inner;
                continue;
            }
            let doubled = dollar > at && text.as_bytes()[dollar - 1] == b'$';
            if doubled && escaped.binary_search(&(dollar - 1)).is_err() {
                out.push_str(&text[at..dollar - 1]);
                out.push_str("${");
                at = inner;
                continue;
            }
            out.push_str(&text[at..dollar]);
            let close = closing_brace(&text[inner..end]).ok_or(InterpolateError::MissingBrace)?;
            let name = &text[inner..inner + variable_length(&text[inner..end])];
            let default = match &text[inner + name.len()..inner + close] {
                _ if name.is_empty() => return Err(InterpolateError::Invalid),
                "" => None,
                form if form.starts_with(":-") && depth < MAX_NESTING => {
                    Some((inner + name.len() + 2, inner + close))
                }
                _ => return Err(InterpolateError::Invalid),
            };
            match (self.defined.get(name).or_else(|| self.outer.get(name)), default) {
                (Some(value), None) => out.push_str(value),
                (Some(value), Some(_)) if !value.is_empty() => out.push_str(value),
                (_, Some(default)) => {
                    self.replace_in(text, default, escaped, depth + 1, unset, out)?;
                }
                (None, None) => unset.push(name),
            }
            if self.total + out.len() > MAX_TOTAL {
                return Err(InterpolateError::TooLarge);
            }
            at = inner + close + 1;
        }
        out.push_str(&text[at..end]);
        Ok(())
    }
}
