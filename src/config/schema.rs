//! The JSON Schema of `devstack.toml`, for editors. It is made from the tables of keys that the checker uses, so that
//! nothing can be in one and not in the other.

use super::keys::{self, table};

/// The schema as JSON, with a line end at its end. Draft 7: what all editors of TOML understand.
///
/// Files that lie over another one fit too; so no key is asked for.
pub fn schema() -> String {
    let mut schema = table(keys::FILE);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "devstack.toml".into();
    schema["description"] = "What devstack runs.".into();
    let text = serde_json::to_string_pretty(&schema).expect("plain data is always JSON");
    text + "\n"
}

#[cfg(test)]
pub(super) mod tests;
