//! Compose files: `compose.yaml`, `docker-compose.yml`.

use std::path::Path;

use super::yaml::YamlDocument;
use super::{ImportedStack, finish_import};
use crate::model::Message;

/// Reads a Compose file. `file` is its name for errors and notes. `read_file` returns the text of
/// a file relative to it, such as a Dockerfile; `None`: it cannot be read.
///
/// # Errors
///
/// The file is not valid YAML, has no services, or its services extend each other in a circle.
pub fn read_compose(
    text: &str,
    file: &str,
    read_file: &dyn Fn(&Path) -> Option<String>,
) -> Result<ImportedStack, Message> {
    let document = YamlDocument::parse(text, file)?;
    finish_import(ImportedStack::default(), &document, file, &[], "`services`")
}
