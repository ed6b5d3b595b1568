use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};

use super::VariableOrigin;
use super::base64::{from_base64, to_base64};

/// A variable of a service's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(flatten)]
    pub value: EnvValue,
    /// Where the value comes from.
    #[serde(flatten)]
    pub origin: VariableOrigin,
    /// Values that this one shadows, strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "hides")]
    pub shadows: Vec<ShadowedValue>,
}

/// A value that a stronger one shadows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowedValue {
    /// The value; empty if it cannot be resolved, for example because of a missing reference.
    #[serde(flatten)]
    pub value: EnvValue,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: VariableOrigin,
}

/// A value: a string in JSON, or base64 if it is not UTF-8.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EnvValue {
    #[serde(default, rename = "value", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, rename = "value_base64", skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl EnvValue {
    /// Creates a value.
    pub fn new(value: &OsStr) -> EnvValue {
        match value.to_str() {
            Some(text) => EnvValue { text: Some(text.to_owned()), base64: None },
            None => EnvValue { text: None, base64: Some(to_base64(value.as_bytes())) },
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
impl std::fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value(…)")
    }
}
