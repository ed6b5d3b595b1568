use std::sync::OnceLock;

use serde::Deserialize;

/// A server without a preset that is only detected. The fields are as in [`super::PresetFacts`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub programs: Vec<String>,
    pub takes_port: String,
    pub takes_host: Option<String>,
    pub port_variable: Option<String>,
}

pub(super) const TEXT: &str = include_str!("servers.toml");

#[derive(Deserialize)]
struct File {
    server: Vec<Server>,
}

/// Returns all of them, in file order.
pub(super) fn servers() -> &'static [Server] {
    static ALL: OnceLock<Vec<Server>> = OnceLock::new();
    ALL.get_or_init(|| toml::from_str::<File>(TEXT).expect("a test parses this file").server)
}
