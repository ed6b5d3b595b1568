use std::collections::BTreeMap;
use std::fs;

use devstack::config::{ConfigSources, load};

thread_local! {
    static PROJECT: tempfile::TempDir = tempfile::tempdir().expect("a temporary directory");
}

/// Loads a project with these files, and resolves it or renders its errors.
pub fn check(config: &[u8], env_file: &[u8]) {
    PROJECT.with(|project| {
        fs::write(project.path().join("devstack.toml"), config).expect("writable");
        fs::write(project.path().join(".env"), env_file).expect("writable");
        let cwd = project.path().to_owned();
        match load(&ConfigSources { cwd, ..ConfigSources::default() }) {
            Ok(config) => drop(config.resolve(&BTreeMap::new())),
            Err(errors) => {
                let shown = devstack::fuzzing::shown(&errors.to_string());
                assert!(!shown.is_empty() && !shown.chars().any(acts_on_a_terminal), "{shown:?}");
            }
        }
    });
}

/// Whether a terminal obeys the character, or writes what follows in another direction.
fn acts_on_a_terminal(char: char) -> bool {
    let turns =
        matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (char.is_control() && !matches!(char, '\n' | '\t'))
}
