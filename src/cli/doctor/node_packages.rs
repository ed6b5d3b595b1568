use std::path::Path;

use crate::model::{LaunchConfig, Message, MessageClass};
use crate::regular_file::read_linked;
use crate::text::quote;

/// Largest `package.json` to read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Returns that the packages of a Node program are not installed: its `package.json` lists some, and
/// neither its directory nor one above has a `node_modules`.
pub(super) fn missing_packages(launch: &LaunchConfig) -> Option<Message> {
    let runs_node = launch.requires.as_ref()?.programs.iter().any(|program| program == "node");
    if !runs_node || !lists_packages(&launch.dir.join("package.json")) {
        return None;
    }
    if launch.dir.ancestors().any(|dir| dir.join("node_modules").exists()) {
        return None;
    }
    let dir = quote(&launch.dir.to_string_lossy());
    let text = "the packages of its package.json are not installed";
    Some(Message::new(MessageClass::Spawn, text).help(format!("run `npm install` in {dir}")))
}

fn lists_packages(file: &Path) -> bool {
    let read = read_linked(file, MAX_BYTES);
    let package: serde_json::Value = match read.map(|text| serde_json::from_slice(&text)) {
        Ok(Ok(package)) => package,
        Ok(Err(_)) | Err(_) => return false,
    };
    package["dependencies"].as_object().is_some_and(|packages| !packages.is_empty())
}
