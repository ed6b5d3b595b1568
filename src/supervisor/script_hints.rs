//! Looks into `package.json` for the server behind a script. Reads files, so it is done off the loop.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::config::command_words;
use crate::model::{BindHints, CommandLine, Service};
use crate::presets::package_script;
use crate::regular_file::{open_linked, read_text};

/// Largest `package.json` to read.
const MAX_BYTES: u64 = 1024 * 1024;

#[derive(Deserialize)]
struct PackageFile {
    #[serde(default)]
    scripts: BTreeMap<String, String>,
}

/// Returns how the server of the script that a service runs takes its port and host, if the script
/// and its server are known.
pub(super) fn script_hints(service: &Service) -> Option<BindHints> {
    if service.launch.container.is_some() {
        return None;
    }
    let script = package_script(&command_words(&service.launch.command))?;
    let path = service.launch.dir.join(&script.dir).join("package.json");
    script.bind_hints(&scripts(&path)?)
}

/// Returns the service with these hints in place of its own, if there are some.
pub(super) fn with_hints(service: &Service, hints: Option<BindHints>) -> Cow<'_, Service> {
    match hints {
        Some(hints) => Cow::Owned(Service { advice: Some(hints), ..service.clone() }),
        None => Cow::Borrowed(service),
    }
}

/// Returns the words of all scripts of a `package.json`.
fn scripts(path: &Path) -> Option<BTreeMap<String, Vec<String>>> {
    let text = read_text(open_linked(path).ok()?, MAX_BYTES).ok()?;
    let package: PackageFile = serde_json::from_str(&text).ok()?;
    let words = |text| command_words(&CommandLine::Shell(text));
    Some(package.scripts.into_iter().map(|(name, text)| (name, words(text))).collect())
}
