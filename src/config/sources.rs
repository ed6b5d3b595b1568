use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::DirMove;

/// What a configuration is loaded from.
#[derive(Debug, Clone, Default)]
pub struct ConfigSources {
    /// The files given with `-f`, later ones over earlier ones. If empty, `devstack.toml` or a
    /// Procfile is searched in `cwd` and its parents.
    pub files: Vec<PathBuf>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// devstack's own environment, as far as it is UTF-8.
    pub env: BTreeMap<String, String>,
    /// The user ID that devstack runs as, whose env files are trusted. `None`: trust all files.
    pub user: Option<u32>,
    /// What the command line overrides.
    pub overrides: ConfigOverrides,
    /// Whether `devstack.local.toml` is left out, which has the changes of one person.
    pub without_local: bool,
}

impl ConfigSources {
    /// Changes all paths after the project directory was moved.
    pub fn relocate(&mut self, moved: &DirMove) {
        self.files.iter_mut().for_each(|file| *file = moved.path(&self.cwd.join(&*file)));
        self.cwd = moved.path(&self.cwd);
        relocate_pwd(&mut self.env, moved);
    }
}

/// Changes the working directory in an environment after a directory was moved.
pub(super) fn relocate_pwd(env: &mut BTreeMap<String, String>, moved: &DirMove) {
    if let Some(pwd) = env.get_mut("PWD") {
        *pwd = moved.text(pwd);
    }
}

/// What the command line changes in a configuration.
#[derive(Debug, Clone, Default)]
pub struct ConfigOverrides {
    /// `--port api=6000` or `--port api.metrics=6000`. 0 means any port; the last one wins.
    pub ports: Vec<(String, u16)>,
    /// `--strict-ports`: fail if a preferred port is taken.
    pub strict_ports: bool,
    /// `--host`: replaces the stack's `host`. A service with its own `host` keeps it.
    pub host: Option<String>,
    /// The name of a stack without one in its file, instead of that of its directory.
    pub default_name: Option<String>,
    /// `--profile`: selects services with one of these profiles. An unknown profile is an error,
    /// unlike in the variable `DEVSTACK_PROFILES` (comma-separated), which adds to these.
    pub profiles: Vec<String>,
}
