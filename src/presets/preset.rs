use std::sync::OnceLock;

use super::outline::outline;
use super::{Facts, Outline};

/// One framework or data store.
#[derive(Debug)]
pub struct Preset {
    /// The name in `preset = "…"`.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
    facts: OnceLock<Facts>,
}

impl Preset {
    pub(super) const fn new(name: &'static str, text: &'static str) -> Preset {
        Preset { name, text, facts: OnceLock::new() }
    }

    /// What its file says beside `[service]`. Read when it is asked for first: most stacks need few of them or none.
    pub fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| {
            toml::from_str(self.text).expect("a test reads every file of this folder")
        })
    }

    /// What a list shows of it.
    pub fn outline(&self) -> Outline {
        outline(self.text).expect("a test reads every file of this folder")
    }
}
