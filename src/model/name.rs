use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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

    /// Returns the name nearest to `text`: in lower case, with `-` for each run of other characters,
    /// and cut. `None` if nothing is left.
    pub fn nearest(text: &str) -> Option<Name> {
        let mut slug = String::new();
        for c in text.chars().flat_map(char::to_lowercase) {
            if slug.len() >= Name::MAX {
                break;
            }
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        Name::new(slug.trim_end_matches('-')).ok()
    }

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

/// Makes valid service names from other texts, each different from all before.
#[derive(Debug, Clone, Default)]
pub struct UniqueNames {
    /// Each name, and the last number that was appended to it.
    taken: BTreeMap<Name, u32>,
}

impl UniqueNames {
    /// Keeps a valid name for later. Returns whether it was free.
    pub fn reserve(&mut self, name: Name) -> bool {
        match self.taken.entry(name) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(1);
                true
            }
        }
    }

    /// Returns the name nearest to `text`, with a number if that is taken; from `other` if no
    /// character of `text` can be in a name.
    pub fn take(&mut self, text: &str, other: &Name) -> Name {
        self.take_short(text, other, Name::MAX)
    }

    /// Like [`UniqueNames::take`], with at most `max` characters: enough for a letter and a number.
    pub fn take_short(&mut self, text: &str, other: &Name, max: usize) -> Name {
        let cut = |name: &Name, max: usize| {
            let short = &name.as_str()[..name.as_str().len().min(max)];
            Name::new(short.trim_end_matches('-')).expect("it starts with a letter or digit")
        };
        let base = match Name::nearest(text) {
            Some(name) => cut(&name, max),
            None => other.clone(),
        };
        if self.reserve(base.clone()) {
            return base;
        }
        loop {
            let number = self.taken.entry(base.clone()).or_insert(1);
            *number += 1;
            let suffix = format!("-{number}");
            let stem = cut(&base, max - suffix.len());
            let name = Name::new(&format!("{stem}{suffix}")).expect("a name with a number");
            if self.reserve(name.clone()) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "0", "api", "api-v2", "a-", &"x".repeat(63)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "Api", "a_b", "a.b", "ä", "a b", &"x".repeat(64)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_valid_and_different() {
        let name = |text: &str| Name::new(text).unwrap();
        let mut names = UniqueNames::default();
        assert!(names.reserve(name("web-2")) && !names.reserve(name("web-2")));
        let mut take = |text: &str| names.take(text, &name("service")).to_string();
        assert_eq!(take("Web"), "web");
        assert_eq!(take("web"), "web-3", "web-2 is reserved");
        assert_eq!(take("@shop/my_api"), "shop-my-api");
        assert_eq!(take("世界"), "service");
        assert_eq!(take("_"), "service-2");
        let long = "x".repeat(70);
        assert_eq!(take(&long).len(), 63);
        assert_eq!(take(&long), format!("{}-2", "x".repeat(61)));
        let mut short = |text: &str| names.take_short(text, &name("port"), 15).to_string();
        assert_eq!(short("metrics-internal-a"), "metrics-interna");
        assert_eq!(short("metrics-internal-b"), "metrics-inter-2");
    }

    #[test]
    fn thousands_of_equal_names_take_no_time() {
        let mut names = UniqueNames::default();
        let other = Name::new("x").unwrap();
        let last = (0..20_000).map(|_| names.take("A", &other)).last().unwrap();
        assert_eq!(last.as_str(), "a-20000");
    }
}
