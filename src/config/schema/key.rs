use serde_json::Value;

/// One key of a table. The checker, its help texts and the JSON schema are all built from these.
pub(crate) struct SchemaKey {
    pub name: &'static str,
    pub description: &'static str,
    /// The JSON Schema of its value.
    pub shape: fn() -> Value,
    /// The default, in TOML. `None` if it depends on something that `description` names.
    pub default: Option<&'static str>,
    /// Possible values, in TOML. A key without a default has at least one.
    pub examples: &'static [&'static str],
}

impl SchemaKey {
    pub const fn new(name: &'static str, shape: fn() -> Value, about: &'static str) -> SchemaKey {
        SchemaKey { name, description: about, shape, default: None, examples: &[] }
    }

    pub const fn default(mut self, text: &'static str) -> SchemaKey {
        self.default = Some(text);
        self
    }

    pub const fn examples(mut self, texts: &'static [&'static str]) -> SchemaKey {
        self.examples = texts;
        self
    }
}

pub(crate) fn has(keys: &[SchemaKey], name: &str) -> bool {
    keys.iter().any(|key| key.name == name)
}
