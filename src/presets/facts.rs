use super::servers::KnownServer;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What a preset file says besides its `[service]` table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresetFacts {
    /// How to detect it in a command: a program and words that must follow it, such as `flask run`.
    #[serde(default)]
    pub programs: Vec<String>,
    /// How to make it listen on the assigned port, as the end of a sentence: `pass --port $PORT`.
    pub takes_port: String,
    /// The same for its host: `pass --host $HOST`.
    pub takes_host: String,
    /// A variable other than `PORT` that it reads its port from.
    pub port_variable: Option<String>,
    /// The format of its URL, with references such as `${HOST}:${PORT}`; `None`: `http://…`.
    pub url: Option<String>,
    /// Its built-in reloader.
    pub reloader: Option<FrameworkReloader>,
    /// Programs that its command requires.
    pub needs: Vec<String>,
    /// How to install them.
    pub install: String,
    /// The `[service]` table, which the config module reads.
    #[serde(rename = "service")]
    _service: IgnoredAny,
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

/// How to make a program use the assigned port and host, as ends of sentences: `pass --port $PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takes {
    /// How to set its port.
    pub port: String,
    /// How to set its host; `None`: not possible or unknown.
    pub host: Option<String>,
    /// A variable other than `PORT` that it reads its port from.
    pub variable: Option<String>,
}

impl PresetFacts {
    /// Returns how the framework takes its port and host.
    pub fn bind_hints(&self) -> Takes {
        Takes {
            port: self.takes_port.clone(),
            host: Some(self.takes_host.clone()),
            variable: self.port_variable.clone(),
        }
    }
}

impl KnownServer {
    pub(super) fn bind_hints(&self) -> Takes {
        Takes {
            port: self.takes_port.clone(),
            host: self.takes_host.clone(),
            variable: self.port_variable.clone(),
        }
    }
}
