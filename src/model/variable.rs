use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};

use super::Origin;
use super::base64::{from_base64, to_base64};

/// A variable of a service's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(flatten)]
    pub value: Value,
    /// Where the value comes from.
    #[serde(flatten)]
    pub origin: Origin,
    /// Values that this one shadows, strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hides: Vec<Hidden>,
}

/// A value that a stronger one shadows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hidden {
    /// The value; empty if it cannot be resolved, for example because of a missing reference.
    #[serde(flatten)]
    pub value: Value,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: Origin,
}

/// A value: a string in JSON, or base64 if it is not UTF-8.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Value {
    #[serde(default, rename = "value", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, rename = "value_base64", skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Value {
    /// Creates a value.
    pub fn new(value: &OsStr) -> Value {
        match value.to_str() {
            Some(text) => Value { text: Some(text.to_owned()), base64: None },
            None => Value { text: None, base64: Some(to_base64(value.as_bytes())) },
        }
    }

    /// Returns the value if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Returns the value, if there is one.
    pub fn get(&self) -> Option<OsString> {
        match (&self.text, &self.base64) {
            (Some(text), _) => Some(text.into()),
            (None, Some(base64)) => Some(OsString::from_vec(from_base64(base64))),
            (None, None) => None,
        }
    }
}

/// Values may be passwords, so debug output never shows them.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value(…)")
    }
}
