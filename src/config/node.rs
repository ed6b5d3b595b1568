use std::borrow::Cow;
use std::collections::BTreeMap;

use super::place::Place;

/// A value as it was written, with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node<'t> {
    pub at: Place,
    pub value: Value<'t>,
}

/// What can be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'t> {
    Text(Cow<'t, str>),
    /// `None`: beyond 64 bits.
    Integer(Option<i64>),
    /// As it was written.
    Float(String),
    Boolean(bool),
    Date,
    List(Vec<Node<'t>>),
    Table(Table<'t>),
}

/// Keys with their values. The place of an entry is its key's.
pub(super) type Table<'t> = BTreeMap<Cow<'t, str>, Entry<'t>>;

/// One key of a table with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry<'t> {
    pub key: Place,
    pub node: Node<'t>,
}

impl Value<'_> {
    /// The type in words, for "must be a text, not …".
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Integer(_) => "a number",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "a boolean",
            Value::Date => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// Lays `over` over `base`: tables merge key by key, everything else is replaced. A key keeps the
/// place where it was first written, so that the order of services stays that of the first file.
pub(super) fn merge<'t>(base: &mut Table<'t>, over: Table<'t>) {
    for (name, entry) in over {
        match base.get_mut(&name) {
            None => {
                base.insert(name, entry);
            }
            Some(old) => match (&mut old.node.value, entry.node.value) {
                (Value::Table(old), Value::Table(new)) => merge(old, new),
                (_, value) => old.node = Node { at: entry.node.at, value },
            },
        }
    }
}
