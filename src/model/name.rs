use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a service: `[a-z0-9][a-z0-9-]{0,62}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Error for a string that is not a service name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName;

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("use 1 to 63 characters from a-z, 0-9 and `-`, starting with a letter or digit")
    }
}

impl std::error::Error for InvalidName {}

impl Name {
    /// The longest name: one DNS label, because names become host names.
    pub const MAX: usize = 63;

    /// Checks `text` and creates a name.
    pub fn new(text: &str) -> Result<Name, InvalidName> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = text.as_bytes();
        let fits = (1..=Name::MAX).contains(&bytes.len());
        if fits && plain(bytes[0]) && bytes.iter().all(|&c| plain(c) || c == b'-') {
            Ok(Name(text.into()))
        } else {
            Err(InvalidName)
        }
    }

    /// Returns the name as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name as used in environment variables: `api-v2` gives `API_V2`.
    pub fn to_env_prefix(&self) -> String {
        self.0.to_ascii_uppercase().replace('-', "_")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Name, InvalidName> {
        Name::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0.as_ref().to_owned()
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "0", "api", "api-v2", "a-", &"x".repeat(63)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "Api", "a_b", "a.b", "ä", "a b", &"x".repeat(64)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }
}
