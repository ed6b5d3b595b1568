use std::sync::OnceLock;

use super::{PresetFacts, PresetSummary};

/// A framework or data store.
#[derive(Debug)]
pub struct Preset {
    /// The name in `preset = "…"`.
    pub name: &'static str,
    /// The text of its file.
    pub text: &'static str,
    facts: OnceLock<PresetFacts>,
}

impl Preset {
    pub(super) const fn new(name: &'static str, text: &'static str) -> Preset {
        Preset { name, text, facts: OnceLock::new() }
    }

    /// Returns what its file says besides `[service]`. Parsed on first use.
    pub fn facts(&self) -> &PresetFacts {
        self.facts.get_or_init(|| {
            toml::from_str(self.text).expect("a test parses every file of this directory")
        })
    }

    /// Returns its summary for lists.
    pub fn outline(&self) -> &PresetSummary {
        &self.facts().summary
    }
}
