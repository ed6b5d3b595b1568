use serde::Deserialize;
use serde::de::IgnoredAny;

/// What is known about a framework beside what a service could say itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// How it is recognised in a command: a program, with words that must follow somewhere, such as `flask run`.
    #[serde(default)]
    pub programs: Vec<String>,
    /// What to do so that it listens on the port it is given, as the end of a sentence: `pass --port $PORT`.
    pub takes_port: String,
    /// The same for its address: `pass --host $HOST`.
    pub takes_host: String,
    /// A variable other than `PORT` that it takes its port from.
    pub port_variable: Option<String>,
    /// How its URL is written, with `${HOST}:${PORT}` and variables of its environment; `None`: `http://…`.
    pub url: Option<String>,
    /// Its own reloader.
    pub reloader: Option<Reloader>,
    /// Programs that the command of its preset needs.
    pub needs: Vec<String>,
    /// How to get them.
    pub install: String,
    /// What a service could say itself; config reads it.
    #[serde(rename = "service")]
    _service: IgnoredAny,
}

/// When a framework itself starts anew, or takes over what changed, on a save.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reloader {
    /// Words of the command that switch it on; empty: it is on.
    #[serde(default)]
    pub on: Vec<String>,
    /// A variable that switches it on, unless it is empty, `0` or `false`.
    pub variable: Option<String>,
    /// Words of the command that switch it off.
    #[serde(default)]
    pub off: Vec<String>,
    /// The files it looks after, as globs.
    pub files: Vec<String>,
}

impl Reloader {
    /// Whether it is on in a command of these words; `variable` answers what a variable is set to.
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
