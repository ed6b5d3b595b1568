//! The JSON Schema of `devstack.toml`, for editors. It is generated from the same tables of keys
//! that the checker uses, so that the two cannot diverge.

use shapes::table;

/// Returns the schema as JSON, with a final newline. Draft 7 is what all TOML editors understand.
///
/// No key is required, because files that override another one must be valid too.
pub fn json_schema() -> String {
    let mut schema = table(misplaced::FILE);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "devstack.toml".into();
    schema["description"] = "The services that devstack runs.".into();
    let text = serde_json::to_string_pretty(&schema).expect("plain data is always JSON");
    text + "\n"
}

mod key;
pub(crate) mod misplaced;
mod service_keys;
mod shapes;
mod stack_keys;
mod table_keys;
#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
pub(crate) use misplaced::all;
pub(crate) use misplaced::{SchemaKey, has};
