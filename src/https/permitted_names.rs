use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Message, MessageClass};
use crate::text::quote;

/// Always permitted, with all names below it.
const LOCALHOST: &str = "localhost";

/// Top-level domains that cannot be registered (RFC 2606, 6761, 6762 and ICANN's choice for private use).
const PRIVATE_DOMAINS: [&str; 5] = ["example", "internal", "invalid", "local", "test"];

/// Maximum length of a name in bytes, and of one of its labels.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The names that a CA may sign, each with all names below it: `localhost` and those that users gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermittedNames(BTreeSet<String>);

impl PermittedNames {
    /// Returns `localhost` alone.
    pub fn localhost() -> PermittedNames {
        PermittedNames(BTreeSet::from([LOCALHOST.to_owned()]))
    }

    /// Adds a name as a user wrote it, such as `shop.test` or `*.shop.test`.
    ///
    /// # Errors
    /// It is not a host name, or a CA for it could stand in for sites of others.
    pub fn add(&mut self, text: &str) -> Result<(), Message> {
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let name = name.strip_prefix("*.").unwrap_or(&name);
        check_name(name).map_err(|(why, help)| {
            let text = format!("cannot make certificates for {}: {why}", quote(text));
            Message::new(MessageClass::Usage, text).help(help)
        })?;
        if !self.permits(name) {
            // Names below it are covered from now on.
            self.0.retain(|other| !is_below(other, name));
            self.0.insert(name.to_owned());
        }
        Ok(())
    }

    /// Whether a certificate for this name may be made; the name is in lower case.
    pub fn permits(&self, name: &str) -> bool {
        self.0.iter().any(|permitted| is_below(name, permitted))
    }

    /// Returns the names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// `localhost, *.localhost, shop.test, *.shop.test`
impl fmt::Display for PermittedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}, *.{name}")?;
        }
        Ok(())
    }
}

/// Whether a name is `domain` or below it.
fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Returns why no CA should be made for a name, and what to do.
fn check_name(name: &str) -> Result<(), (&'static str, &'static str)> {
    let is_label = |label: &str| {
        let good = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
        (1..=MAX_LABEL).contains(&label.len())
            && label.chars().all(good)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !name.is_ascii() {
        return Err(("it is not ASCII", "use its ASCII form, which starts with `xn--`"));
    }
    if name.len() > MAX_NAME || !name.split('.').all(is_label) {
        return Err(("it is not a host name", "use a name such as `shop.test`"));
    }
    let top = name.rsplit('.').next().unwrap_or(name);
    if top.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(("it is an address", "use a name such as `shop.test`"));
    }
    if top == name && name != LOCALHOST && !PRIVATE_DOMAINS.contains(&name) {
        let help = "use a name below it, such as `shop.test`";
        return Err(("it is a top-level domain, with sites of other people", help));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(given: &[&str]) -> Result<PermittedNames, Message> {
        let mut names = PermittedNames::localhost();
        given.iter().try_for_each(|name| names.add(name)).map(|()| names)
    }

    #[test]
    fn names_are_permitted_with_all_below_them() {
        let names = names(&["a.shop.test", "*.Shop.test.", "web.localhost"]).unwrap();
        assert_eq!(names.to_string(), "localhost, *.localhost, shop.test, *.shop.test");
        for good in ["localhost", "api.shop.localhost", "shop.test", "a.b.shop.test"] {
            assert!(names.permits(good), "{good}");
        }
        for bad in ["", "test", "myshop.test", "localhost.evil.com", "evil.com", ".com"] {
            assert!(!names.permits(bad), "{bad}");
        }
    }

    #[test]
    fn what_others_own_or_is_no_name_is_refused() {
        let refused =
            ["com", "", "a..test", "10.0.0.1", "::1", "-a.test", "a_b.test", "bücher.test"];
        let texts: Vec<String> =
            refused.iter().map(|name| names(&[name]).unwrap_err().render()).collect();
        insta::assert_snapshot!(texts.join(""));
        assert!(names(&["internal"]).is_ok());
        let long = ["a"; 200].join(".");
        assert!(names(&[&long]).is_err());
    }
}
