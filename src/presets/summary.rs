use std::collections::BTreeMap;

use serde::Deserialize;

/// What a list of presets shows of one preset, from its `[service]` table.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PresetSummary {
    /// A short description.
    pub description: String,
    port: Option<u16>,
    ports: BTreeMap<String, toml::Value>,
}

impl PresetSummary {
    /// Returns its usual ports; the first is the main one.
    pub fn ports(&self) -> impl Iterator<Item = (&str, u16)> {
        // Values that are not numbers mean any port.
        let named = self.ports.iter().filter_map(|(name, port)| {
            Some((name.as_str(), u16::try_from(port.as_integer()?).ok()?))
        });
        self.port.map(|port| ("main", port)).into_iter().chain(named)
    }

    /// Returns its usual main port; `None`: any.
    pub fn port(&self) -> Option<u16> {
        self.ports().next().map(|(_, port)| port)
    }
}
