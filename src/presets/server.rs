use std::sync::OnceLock;

use serde::Deserialize;

/// A server that is no preset, but recognised. What it says is as in [`super::Facts`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub programs: Vec<String>,
    pub takes_port: String,
    pub takes_host: Option<String>,
    pub port_variable: Option<String>,
}

/// Their file.
pub(super) const TEXT: &str = include_str!("servers.toml");

#[derive(Deserialize)]
struct File {
    server: Vec<Server>,
}

/// All of them, in the order of their file.
pub(super) fn servers() -> &'static [Server] {
    static ALL: OnceLock<Vec<Server>> = OnceLock::new();
    ALL.get_or_init(|| toml::from_str::<File>(TEXT).expect("a test reads the file").server)
}
