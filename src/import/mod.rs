//! Reads the files of other programs for `devstack init`: what they start becomes an
//! [`ImportedStack`], and what has no counterpart becomes an [`ImportNote`]. Nothing is dropped
//! without one.

mod compose;
mod detect;
mod devstack_toml;
mod environment;
mod imported_container;
mod imported_stack;
mod mprocs;
mod process_compose;
mod procfile;
mod service_names;
mod substitution;
mod yaml;

#[cfg(test)]
mod tests;

pub use imported_container::{ImportedContainer, ImportedImage};
pub use imported_stack::{
    ImportNote, ImportedCommand, ImportedProbe, ImportedService, ImportedStack, NEED_NOT_LISTEN,
    ProbeTest,
};

pub use compose::read_compose;
pub use detect::detect_stack;
pub use mprocs::read_mprocs;
pub use process_compose::read_process_compose;
pub use procfile::read_procfile_stack;

use crate::model::{Message, Name};
use crate::text::quote;
use substitution::with_defaults;
use yaml::{Unsupported, YamlContent, YamlDocument, YamlNode, fault};

/// The most replicas that a service has.
const MAX_REPLICAS: u16 = 100;

/// Adds the notes about a YAML file to its stack.
///
/// # Errors
///
/// The stack has no services: then the file is probably another one. `key` should have had them.
fn finish_import(
    mut stack: ImportedStack,
    document: &YamlDocument,
    file: &str,
    unsupported: Unsupported,
    key: &str,
) -> Result<ImportedStack, Message> {
    let services = document.root.peek(key);
    if !services.is_some_and(|node| matches!(&node.content, YamlContent::Map(it) if !it.is_empty()))
    {
        let text = match services {
            None => format!("missing `{key}`"),
            Some(_) => format!("`{key}` has no services"),
        };
        let line = services.unwrap_or(&document.root).line.max(1);
        return Err(fault(file, line, &text, "name another file with `--from`"));
    }
    document.root.collect_notes(file, unsupported, &mut stack.notes);
    if let Some(line) = document.second {
        stack.notes.push(ImportNote {
            file: file.to_owned(),
            line: Some(line),
            subject: "---".to_owned(),
            text: "not carried over: only the first document of a file is read".to_owned(),
        });
    }
    Ok(stack)
}

/// Returns the name of a stack, made valid if it has to be.
fn stack_name(node: &YamlNode) -> Option<String> {
    let text = with_defaults(node.text()?, node);
    let name = Name::nearest(&text).map(|name| name.to_string());
    match &name {
        None => node.note(format!("not carried over: invalid name {}", quote(&text))),
        Some(name) if *name != text => {
            node.note(format!("becomes `{name}`: names have only a-z, 0-9 and `-`"));
        }
        Some(_) => {}
    }
    name
}

/// Returns a number of replicas, if there are several.
fn replicas(node: &YamlNode) -> Option<u16> {
    let number = node.number::<u16>()?;
    if number > MAX_REPLICAS {
        node.note(format!("now {MAX_REPLICAS}, the maximum number of replicas"));
    }
    (number > 1).then_some(number.min(MAX_REPLICAS))
}
