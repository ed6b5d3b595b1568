use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a configuration is made from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The files given by `-f`, in their order, later over earlier. Empty: `devstack.toml` in
    /// `cwd` or the nearest folder above it.
    pub files: Vec<PathBuf>,
    /// The folder devstack was started in, absolute.
    pub cwd: PathBuf,
    /// devstack's own environment, as far as it is UTF-8.
    pub env: BTreeMap<String, String>,
    /// The number of the user who runs devstack, whose env files are trusted; `None`: those of everybody are.
    pub user: Option<u32>,
    /// What the command line says about it.
    pub overrides: Overrides,
}

/// What the command line changes in a configuration.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--port api=6000` or `--port api.metrics=6000`; 0 means any; a later one wins.
    pub ports: Vec<(String, u16)>,
    /// `--strict-ports`: a preferred port that is taken is a failure.
    pub strict_ports: bool,
    /// `--host`: takes the place of the stack's `host`. A service with a `host` of its own keeps it.
    pub host: Option<String>,
    /// `--profile`: services with one of these among their `profiles` start; one that no service
    /// has is a mistake. Those of the variable `DEVSTACK_PROFILES`, separated by commas, count as
    /// well; one that no service has is noted only.
    pub profiles: Vec<String>,
}
