use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Index, Range};
use std::sync::Arc;

/// Variables by name, sorted. They lie in one piece of memory that copies share: services have
/// hundreds of them, and as many small strings would be scattered over the whole heap.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct LaunchEnv(Arc<Variables>);

#[derive(PartialEq, Eq, Default)]
struct Variables {
    /// Each name and its value, one after the other.
    text: Box<str>,
    /// Where each name and each value ends.
    ends: Box<[(usize, usize)]>,
}

impl LaunchEnv {
    /// Returns how many variables there are.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// Returns the value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let at = from.midpoint(to);
            let (known, value) = self.at(at);
            match known.cmp(name) {
                std::cmp::Ordering::Less => from = at + 1,
                std::cmp::Ordering::Equal => return Some(value),
                std::cmp::Ordering::Greater => to = at,
            }
        }
        None
    }

    /// Whether a variable is set.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        (0..self.len()).map(|at| self.at(at))
    }

    /// Returns the names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// Sets a variable.
    pub fn insert(&mut self, name: &str, value: &str) {
        self.extend([(name, value)]);
    }

    /// Sets variables.
    pub fn extend<N: AsRef<str>, V: AsRef<str>>(&mut self, more: impl IntoIterator<Item = (N, V)>) {
        let more: Vec<(N, V)> = more.into_iter().collect();
        let more = more.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        *self = self.iter().chain(more).collect();
    }

    /// Removes a variable.
    pub fn remove(&mut self, name: &str) {
        *self = self.iter().filter(|(known, _)| *known != name).collect();
    }

    fn at(&self, at: usize) -> (&str, &str) {
        let Variables { text, ends } = &*self.0;
        let start = at.checked_sub(1).map_or(0, |before| ends[before].1);
        let (name, value) = ends[at];
        let piece = |range: Range<usize>| &text[range];
        (piece(start..name), piece(name..value))
    }
}

/// Of two values for a name, the later one counts.
impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for LaunchEnv {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> LaunchEnv {
        let variables: Vec<(N, V)> = variables.into_iter().collect();
        let sorted: BTreeMap<&str, &str> =
            variables.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        let length = sorted.iter().map(|(name, value)| name.len() + value.len()).sum();
        let mut text = String::with_capacity(length);
        let ends = sorted.into_iter().map(|(name, value)| {
            text.push_str(name);
            let name_end = text.len();
            text.push_str(value);
            (name_end, text.len())
        });
        let ends = ends.collect();
        LaunchEnv(Arc::new(Variables { text: text.into_boxed_str(), ends }))
    }
}

impl Index<&str> for LaunchEnv {
    type Output = str;

    /// # Panics
    /// The variable is not set.
    fn index(&self, name: &str) -> &str {
        self.get(name).expect("the variable is set")
    }
}

impl fmt::Debug for LaunchEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_by_name_and_later_values_count() {
        let mut env: LaunchEnv =
            [("B", "2"), ("A", "1"), ("", "x"), ("B", ""), ("ÄÖ", "ü")].into_iter().collect();
        assert_eq!(env.iter().collect::<Vec<_>>(), [("", "x"), ("A", "1"), ("B", ""), ("ÄÖ", "ü")]);
        for (name, value) in env.iter() {
            assert_eq!(env.get(name), Some(value));
        }
        assert_eq!(["C", "AA", "Z"].map(|name| env.get(name)), [None; 3]);
        let before = env.clone();
        env.insert("A", "new");
        env.insert("C", "3");
        env.remove("B");
        assert_eq!(env.names().collect::<Vec<_>>(), ["", "A", "C", "ÄÖ"]);
        assert_eq!((&env["A"], env.contains("B"), &before["A"]), ("new", false, "1"));
        assert_eq!(format!("{env:?}"), r#"{"": "x", "A": "new", "C": "3", "ÄÖ": "ü"}"#);
        assert!(LaunchEnv::default().is_empty() && LaunchEnv::default().get("").is_none());
    }
}
