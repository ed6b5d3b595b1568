//! Variables and env files, which most formats write in the same ways.

use std::path::{Component, Path, PathBuf};

use super::substitution::to_template;
use super::yaml::{YamlContent, YamlNode};
use crate::text::quote;

/// A variable and where its value is.
pub(super) type EnvEntry<'a> = (String, String, &'a YamlNode);

/// Reads variables from a mapping, or from a list of `NAME=value`. A variable without a value is
/// that of devstack's own environment, which services have anyway. The last one of a name counts.
pub(super) fn read_env(node: &YamlNode) -> Vec<EnvEntry<'_>> {
    let mut env: Vec<EnvEntry<'_>> = Vec::new();
    let mut add = |name: &str, value: &str, node| {
        if name.is_empty() || name.contains('=') {
            return YamlNode::reject(
                node,
                format!("not carried over: invalid variable name {}", quote(name)),
            );
        }
        env.push((name.to_owned(), to_template(value, node), node));
    };
    match &node.content {
        YamlContent::List(_) => {
            for item in node.items() {
                let Some(text) = item.text() else { continue };
                if let Some((name, value)) = text.split_once('=') {
                    add(name, value, item);
                }
            }
        }
        _ => {
            for (name, node) in node.entries().iter().filter(|(_, node)| !node.is_null()) {
                if let Some(value) = node.exact_text() {
                    add(name, value, node);
                }
            }
        }
    }
    keep_last(env)
}

/// Leaves the last value of each name, at the place of the first.
pub(super) fn keep_last(env: Vec<EnvEntry<'_>>) -> Vec<EnvEntry<'_>> {
    let mut places = std::collections::BTreeMap::new();
    let mut kept: Vec<EnvEntry<'_>> = Vec::new();
    for entry in env {
        match places.get(&entry.0) {
            Some(&place) => {
                let before: EnvEntry<'_> = std::mem::replace(&mut kept[place], entry);
                before.2.note(format!("overridden by a later `{}`", before.0));
            }
            None => {
                places.insert(entry.0.clone(), kept.len());
                kept.push(entry);
            }
        }
    }
    kept
}

/// Returns a path without `.` and without `x/..`; `..` at its start stays.
pub(super) fn clean_path(path: impl AsRef<Path>) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.as_ref().components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match clean.components().next_back() {
                Some(Component::Normal(_)) => {
                    clean.pop();
                }
                Some(Component::RootDir | Component::Prefix(_)) => {}
                Some(Component::CurDir | Component::ParentDir) | None => clean.push(".."),
            },
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                clean.push(component);
            }
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::clean_path;
    use std::path::Path;

    #[test]
    fn paths_are_cleaned_without_a_look_at_the_disk() {
        for (path, clean) in
            [(".", ""), ("./a/../b/", "b"), ("../../a", "../../a"), ("/a/../..", "/"), ("a/..", "")]
        {
            assert_eq!(clean_path(path), Path::new(clean), "{path}");
        }
    }
}
