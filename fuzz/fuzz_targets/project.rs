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
            Err(errors) => assert!(!errors.to_string().is_empty()),
        }
    });
}
