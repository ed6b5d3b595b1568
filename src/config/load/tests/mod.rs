use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod broken;
mod containers;
mod debug;
mod files;
mod hostile;
mod includes;
mod lazy;
mod meaning;
mod ports;
mod presets;
mod procfile;
mod profiles;
mod replicas;
mod systems;
mod worktrees;

use super::load;
use crate::config::schema::tests::misfit_of;
use crate::config::{Config, ConfigSources};
use crate::model::*;

/// A temporary project with files, and how to load it.
struct Project {
    dir: tempfile::TempDir,
    sources: ConfigSources,
}

impl Project {
    fn new(text: &str) -> Project {
        let dir = tempfile::tempdir().expect("a directory");
        let sources = ConfigSources { cwd: dir.path().to_owned(), ..ConfigSources::default() };
        Project { dir, sources }.file("devstack.toml", text)
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Project {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, text).expect("a file");
        self
    }

    fn env(mut self, name: &str, value: &str) -> Project {
        self.sources.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn with(mut self, change: impl FnOnce(&mut ConfigSources)) -> Project {
        change(&mut self.sources);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    #[track_caller]
    fn draft(&self) -> Config {
        let config = load(&self.sources).unwrap_or_else(|error| panic!("{error}"));
        self.fits_the_schema();
        config
    }

    /// Accepted files are valid for the schema. Overrides may hide errors, so those are skipped.
    #[track_caller]
    fn fits_the_schema(&self) {
        if self.sources.files.is_empty() && !self.path("devstack.local.toml").exists() {
            let file = self.sources.cwd.ancestors().map(|dir| dir.join("devstack.toml"));
            let file = file.into_iter().find(|file| file.exists()).expect("it was read");
            let text = fs::read_to_string(file).expect("it was read");
            assert_eq!(misfit_of(&text), None, "{text}");
        }
    }

    #[track_caller]
    fn stack(&self) -> Stack {
        self.draft().resolve(&BTreeMap::new())
    }

    /// All errors without excerpts, with their help.
    #[track_caller]
    fn mistakes(&self) -> Vec<String> {
        let error = load(&self.sources).expect_err("it has mistakes");
        let text = |d: &crate::config::Diagnostic| {
            let at = d.location().map(|(file, line, column)| format!("{file}:{line}:{column}: "));
            format!("{}{}", at.unwrap_or_default(), d.message().text)
        };
        error.list().iter().map(text).collect()
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn wish<'a>(config: &'a Config, service: &str, port: &str) -> &'a PortRequest {
    let key = PortKey::new(&name(service), port);
    config.port_requests().iter().find(|w| w.key == key).expect("the port is wished for")
}

/// The wanted number of the main port and its origin.
fn said(config: &Config, service: &str) -> (WantedPort, String) {
    let request = wish(config, service, "main");
    (request.wanted, request.requested_by.clone())
}

fn pinned(number: u16) -> WantedPort {
    WantedPort::pinned(NonZeroU16::new(number))
}

fn preferred(number: u16) -> WantedPort {
    WantedPort::preferred(NonZeroU16::new(number), ConflictPolicy::Next)
}

/// Two services with ports.
const TWO: &str = "[services.api]\ncommand = 'a'\nport = 5000\n[services.web]\ncommand = 'b'\nport = { prefer = 3000, env = 'FRONT' }\n";
