use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::config::diagnostics::Span;

/// A value as written, with its span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpannedValue<'t> {
    pub at: Span,
    pub value: RawValue<'t>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RawValue<'t> {
    Text(Cow<'t, str>),
    /// `None` if it does not fit into 64 bits.
    Integer(Option<i64>),
    /// As written.
    Float(String),
    Boolean(bool),
    Date,
    List(Vec<SpannedValue<'t>>),
    Table(RawTable<'t>),
}

pub(crate) type RawTable<'t> = BTreeMap<Cow<'t, str>, RawEntry<'t>>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawEntry<'t> {
    pub key: Span,
    pub node: SpannedValue<'t>,
}

impl<'t> SpannedValue<'t> {
    /// Returns the items of a list, or else the value itself.
    pub fn one_or_more(&self) -> &[SpannedValue<'t>] {
        match &self.value {
            RawValue::List(list) => list,
            _ => std::slice::from_ref(self),
        }
    }
}

impl RawValue<'_> {
    /// Returns how much the value takes as written, in bytes: less than what it takes in memory, by a
    /// bounded factor.
    pub fn written_size(&self, at: Span) -> usize {
        /// For what surrounds each value.
        const EACH: usize = 8;
        EACH + match self {
            RawValue::List(list) => {
                list.iter().map(|item| item.value.written_size(item.at)).sum::<usize>()
            }
            RawValue::Table(table) => table
                .iter()
                .map(|(key, entry)| key.len() + entry.node.value.written_size(entry.node.at))
                .sum(),
            RawValue::Text(_)
            | RawValue::Integer(_)
            | RawValue::Float(_)
            | RawValue::Boolean(_)
            | RawValue::Date => (at.end - at.start) as usize,
        }
    }

    /// Returns the type in words, for "expected a string, found …".
    pub fn type_name(&self) -> &'static str {
        match self {
            RawValue::Text(_) => "a string",
            RawValue::Integer(_) => "an integer",
            RawValue::Float(_) => "a float",
            RawValue::Boolean(_) => "a boolean",
            RawValue::Date => "a date-time",
            RawValue::List(_) => "an array",
            RawValue::Table(_) => "a table",
        }
    }
}

/// Merges `over` into `base`: tables key by key, everything else is replaced. A key keeps the span
/// of its first occurrence, so that services keep the order of the first file.
pub(crate) fn merge<'t>(base: &mut RawTable<'t>, over: RawTable<'t>) {
    for (name, entry) in over {
        match base.get_mut(&name) {
            None => {
                base.insert(name, entry);
            }
            Some(old) => match (&mut old.node.value, entry.node.value) {
                (RawValue::Table(old), RawValue::Table(new)) => merge(old, new),
                (_, value) => old.node = SpannedValue { at: entry.node.at, value },
            },
        }
    }
}
