use serde_json::Value;

/// One key of a table. The checker, its help texts and the JSON schema are all built from these.
pub(in super::super) struct Key {
    pub name: &'static str,
    pub about: &'static str,
    /// The JSON Schema of its value.
    pub shape: fn() -> Value,
    /// The default, in TOML. `None` if it depends on something that `description` names.
    pub default: Option<&'static str>,
    /// Possible values, in TOML. A key without a default has at least one.
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

pub(in super::super) fn has(keys: &[Key], name: &str) -> bool {
    keys.iter().any(|key| key.name == name)
}
