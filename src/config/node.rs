use std::borrow::Cow;
use std::collections::BTreeMap;

use super::place::Place;

/// A value as written, with its span.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node<'t> {
    pub at: Place,
    pub value: Value<'t>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'t> {
    Text(Cow<'t, str>),
    /// `None` if it does not fit into 64 bits.
    Integer(Option<i64>),
    /// As written.
    Float(String),
    Boolean(bool),
    Date,
    List(Vec<Node<'t>>),
    Table(Table<'t>),
}

pub(super) type Table<'t> = BTreeMap<Cow<'t, str>, Entry<'t>>;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry<'t> {
    pub key: Place,
    pub node: Node<'t>,
}

impl Value<'_> {
    /// Returns the type in words, for "expected a string, found …".
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Date => "a date-time",
            Value::List(_) => "an array",
            Value::Table(_) => "a table",
        }
    }
}

/// Merges `over` into `base`: tables key by key, everything else is replaced. A key keeps the span
/// of its first occurrence, so that services keep the order of the first file.
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
