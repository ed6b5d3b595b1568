//! YAML as nodes that know their line and whether they were read. Readers ask for the keys they
//! know; what is never read becomes a note, so nothing can be dropped without a word.

mod yaml_node;
mod yaml_scalar;
mod yaml_tree;

pub(super) use yaml_node::{Unsupported, YamlContent, YamlNode};
pub(super) use yaml_tree::{TooManyValues, YamlBudget, YamlDocument};

use crate::model::{Message, MessageClass};

/// Returns an error about a line of a file.
pub(super) fn fault(file: &str, line: u32, text: &str, help: &str) -> Message {
    Message::new(MessageClass::Config, format!("{file}:{line}: {text}")).help(help)
}
