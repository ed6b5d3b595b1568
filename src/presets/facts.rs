use std::collections::BTreeMap;

use serde::Deserialize;

use super::PresetSummary;
use crate::model::BindHints;

/// What a preset file says besides its `[service]` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresetFacts {
    /// How to detect it in a command: a program and words that must follow it, such as `flask run`.
    #[serde(default)]
    pub programs: Vec<String>,
    /// How to make it listen on the assigned port and host.
    #[serde(flatten)]
    pub bind_hints: BindHints,
    /// The format of its URL, with references such as `${HOST}:${PORT}`; `None`: `http://…`.
    pub url: Option<String>,
    /// Its built-in reloader.
    pub reloader: Option<FrameworkReloader>,
    /// What runs it in a container.
    pub image: Option<PresetImage>,
    /// Programs that its command requires.
    pub needs: Vec<String>,
    pub install: String,
    /// What a list shows of the `[service]` table. The config module reads all of it.
    #[serde(rename = "service")]
    pub summary: PresetSummary,
}

/// The official image of a server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresetImage {
    /// `postgres:17`
    pub name: String,
    /// The directory with its data.
    pub data: Option<String>,
    /// Where that directory is in later versions.
    pub data_moved: Option<MovedData>,
    /// Arguments instead of those of the image; empty: none.
    #[serde(default)]
    pub command: Vec<String>,
    /// Its variables, in place of those of the `[service]` table.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// A shell command that succeeds in the container once it is ready, in place of other probes.
    pub ready: Option<String>,
}

/// Another place of the data since a version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovedData {
    /// The first version with it.
    pub version: u32,
    /// The directory.
    pub data: String,
}

impl PresetImage {
    /// Returns the directory with the data in an image with this tag; without a version, it is the
    /// newest.
    pub fn data_of(&self, tag: Option<&str>) -> Option<&str> {
        let digits = |tag: &str| tag.chars().take_while(char::is_ascii_digit).collect::<String>();
        let version = tag.and_then(|tag| digits(tag).parse().ok()).unwrap_or(u32::MAX);
        let moved = self.data_moved.as_ref().filter(|moved| version >= moved.version);
        moved.map(|moved| moved.data.as_str()).or(self.data.as_deref())
    }
}

/// Hot reload built into a framework.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameworkReloader {
    /// Words of the command that enable it; empty: enabled by default.
    #[serde(default)]
    pub on: Vec<String>,
    /// A variable that enables it, unless it is empty, `0` or `false`.
    pub variable: Option<String>,
    /// Words of the command that disable it.
    #[serde(default)]
    pub off: Vec<String>,
    /// The files it watches, as globs.
    pub files: Vec<String>,
    /// How to recognize it in what a program prints: a program may turn it on itself.
    pub output: Option<OwnReloaderOutput>,
}

/// What a program prints that reloads itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnReloaderOutput {
    /// Matches a line that it prints when it starts.
    pub line: String,
    /// How to turn it off, for a message; `None`: it is what the program is for.
    pub turn_off: Option<String>,
}

impl FrameworkReloader {
    /// Whether it is enabled in a command with these words; `variable` looks up a variable.
    pub fn is_on(&self, words: &[String], variable: impl FnOnce(&str) -> Option<String>) -> bool {
        let has = |list: &[String]| list.iter().any(|word| words.contains(word));
        let set = || {
            let value = self.variable.as_deref().and_then(variable).unwrap_or_default();
            !matches!(value.to_lowercase().as_str(), "" | "0" | "false")
        };
        !has(&self.off)
            && ((self.on.is_empty() && self.variable.is_none()) || has(&self.on) || set())
    }
}
