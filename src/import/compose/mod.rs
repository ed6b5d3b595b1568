//! Compose files: `compose.yaml`, `docker-compose.yml`.

mod command_service;
mod compose_ports;
mod compose_reader;
mod container_service;
mod dockerfile;
mod extends;
mod healthcheck;
mod host_variables;
mod mounts;
mod preset_images;
mod service_command;
mod service_form;
mod service_hosts;
mod service_keys;
mod unsupported;

use std::path::Path;

use super::yaml::{YamlContent, YamlDocument, YamlNode};
use super::{ImportedStack, finish_import, stack_name};
use crate::model::Message;
use service_form::ComposeFiles;

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
    read_document(YamlDocument::parse(text, file)?, file, read_file)
}

pub(super) fn read_document(
    mut document: YamlDocument,
    file: &str,
    read_file: &dyn Fn(&Path) -> Option<String>,
) -> Result<ImportedStack, Message> {
    extends::resolve_extends(&mut document, file)?;
    let mut stack = ImportedStack { name: read_top(&document.root), ..ImportedStack::default() };
    let mut files = ComposeFiles { read: read_file, notes: Vec::new() };
    if let Some(services) = document.root.get("services") {
        stack.services = compose_reader::read_services(services.entries(), &mut files);
    }
    let mut stack = finish_import(stack, &document, file, unsupported::UNSUPPORTED, "services")?;
    stack.notes.append(&mut files.notes);
    Ok(stack)
}

/// Reads the keys beside the services; returns the name of the stack.
fn read_top(root: &YamlNode) -> Option<String> {
    // Compose ignores the version as well.
    if let Some(version) = root.get("version") {
        version.accept();
    }
    for (_, volume) in root.get("volumes").map(YamlNode::entries).unwrap_or_default() {
        let is_plain = volume.is_null()
            || matches!(&volume.content, YamlContent::Map(options) if options.is_empty());
        if is_plain {
            volume.accept();
        }
    }
    stack_name(root.get("name")?)
}
