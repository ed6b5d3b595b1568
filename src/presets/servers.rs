use std::sync::OnceLock;

use serde::Deserialize;

use crate::model::BindHints;

/// A server without a preset that is only detected. The fields are as in [`super::PresetFacts`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownServer {
    pub programs: Vec<String>,
    #[serde(flatten)]
    pub bind_hints: BindHints,
}

pub(super) const TEXT: &str = include_str!("servers.toml");

#[derive(Deserialize)]
struct ServersFile {
    server: Vec<KnownServer>,
}

/// Returns all of them, in file order.
pub(super) fn servers() -> &'static [KnownServer] {
    static ALL: OnceLock<Vec<KnownServer>> = OnceLock::new();
    ALL.get_or_init(|| toml::from_str::<ServersFile>(TEXT).expect("a test parses this file").server)
}
