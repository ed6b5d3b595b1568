use std::collections::BTreeMap;

use serde::Deserialize;

/// What a list of presets shows of one preset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresetSummary {
    /// A short description.
    pub description: String,
    /// Its usual ports; the first is the main one.
    pub ports: Vec<(String, u16)>,
}

impl PresetSummary {
    /// Returns its usual main port; `None`: any.
    pub fn port(&self) -> Option<u16> {
        self.ports.first().map(|(_, port)| *port)
    }
}

/// The parts of a preset file that the summary needs.
#[derive(Deserialize)]
struct SummaryFile {
    service: SummaryService,
}

#[derive(Deserialize)]
struct SummaryService {
    description: String,
    port: Option<u16>,
    #[serde(default)]
    ports: BTreeMap<String, toml::Value>,
}

/// Reads the summary from a preset file; `None` if it is not one.
pub(super) fn outline(text: &str) -> Option<PresetSummary> {
    let SummaryService { description, port, ports } =
        toml::from_str::<SummaryFile>(text).ok()?.service;
    // Values that are not numbers mean any port.
    let number = |(name, port): (String, toml::Value)| {
        port.as_integer().and_then(|port| u16::try_from(port).ok()).map(|port| (name, port))
    };
    let main = port.map(|number| ("main".to_owned(), number));
    let ports = main.into_iter().chain(ports.into_iter().filter_map(number)).collect();
    Some(PresetSummary { description, ports })
}
