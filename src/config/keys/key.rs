use serde_json::Value;

/// One key of a table: all that is known about it but what it does. The checker, its help and the schema are made
/// from these.
pub(in super::super) struct Key {
    /// The name in the file.
    pub name: &'static str,
    /// What an editor shows: sentences for people.
    pub about: &'static str,
    /// What may stand there, as JSON Schema.
    pub shape: fn() -> Value,
    /// What holds without it, as it is written in the file; `None`: it depends, and `about` says on what.
    pub default: Option<&'static str>,
    /// What may be written, as it is written in the file. A key without a default has at least one.
    pub examples: &'static [&'static str],
}

impl Key {
    pub const fn new(name: &'static str, shape: fn() -> Value, about: &'static str) -> Key {
        Key { name, about, shape, default: None, examples: &[] }
    }

    pub const fn default(mut self, text: &'static str) -> Key {
        self.default = Some(text);
        self
    }

    pub const fn examples(mut self, texts: &'static [&'static str]) -> Key {
        self.examples = texts;
        self
    }
}

/// Whether one of the keys has this name.
pub(in super::super) fn has(keys: &[Key], name: &str) -> bool {
    keys.iter().any(|key| key.name == name)
}
