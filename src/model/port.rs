use std::fmt;
use std::num::NonZeroU16;

use serde::Deserialize;

use super::Name;

/// The name of a service's only port.
pub const MAIN_PORT: &str = "main";

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortKey {
    pub service: Name,
    /// `main`, or its key in `ports`.
    pub port: String,
}

impl PortKey {
    pub fn new(service: &Name, port: &str) -> PortKey {
        PortKey { service: service.clone(), port: port.to_owned() }
    }

    /// Returns `api/main`, the form that is stored.
    pub fn id(&self) -> String {
        format!("{}/{}", self.service, self.port)
    }
}

/// `api`, or `api (metrics)` for another port than the main one.
impl fmt::Display for PortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port.as_str() {
            MAIN_PORT => write!(f, "{}", self.service),
            port => write!(f, "{} ({port})", self.service),
        }
    }
}

/// A port that a service asks for, before one is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRequest {
    /// The port it is about.
    pub key: PortKey,
    /// The number it should have.
    pub wanted: WantedPort,
    /// The address that its service is told to bind.
    pub host: String,
    /// The source, for messages: `--port`, `API_PORT`, `PORT`, `.env`, `devstack.toml`.
    pub requested_by: String,
}

/// The number that a port should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedPort {
    /// This number, or the start fails.
    Pinned(NonZeroU16),
    /// This number if it is free.
    Preferred(NonZeroU16, ConflictPolicy),
    /// Any free number.
    Any,
}

impl WantedPort {
    /// Pins a number, if there is one.
    pub fn pinned(number: Option<NonZeroU16>) -> WantedPort {
        number.map_or(WantedPort::Any, WantedPort::Pinned)
    }

    /// Prefers a number, if there is one.
    pub fn preferred(number: Option<NonZeroU16>, policy: ConflictPolicy) -> WantedPort {
        number.map_or(WantedPort::Any, |number| WantedPort::Preferred(number, policy))
    }

    /// Returns the number, if it matters.
    pub fn number(self) -> Option<u16> {
        match self {
            WantedPort::Pinned(number) | WantedPort::Preferred(number, _) => Some(number.get()),
            WantedPort::Any => None,
        }
    }

    /// Whether no other number will do.
    pub fn is_pinned(self) -> bool {
        matches!(self, WantedPort::Pinned(_))
    }
}

/// What to do if a preferred port is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictPolicy {
    /// Take the next higher free port.
    Next,
    /// Take any free port.
    Auto,
    /// Fail and name the holder.
    Fail,
    /// Ask on a terminal, otherwise fail.
    Ask,
    /// Fail because the command line does not let ports move, whatever the file says.
    Strict,
}

/// A port that was chosen for a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedPort {
    /// `main`, or its key in `ports`.
    pub name: String,
    /// The assigned port, above 0.
    pub number: u16,
    /// The wanted port; `None`: any.
    pub wanted: Option<u16>,
    /// Whether only the wanted port is acceptable.
    pub pinned: bool,
    /// Why `number` is not `wanted`, as a fragment: `port 5000 is in use by python3 (pid 4121)`.
    pub moved: Option<String>,
}

#[cfg(test)]
impl AssignedPort {
    /// A port that any number would do for.
    pub(crate) fn sample(name: &str, number: u16) -> AssignedPort {
        AssignedPort { name: name.to_owned(), number, wanted: None, pinned: false, moved: None }
    }
}

/// How to make a program use the assigned port and host, as ends of sentences: `pass --port $PORT`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct BindHints {
    #[serde(rename = "takes_port")]
    pub port: String,
    /// How to set its host; `None`: not possible or unknown.
    #[serde(rename = "takes_host")]
    pub host: Option<String>,
    /// A variable other than `PORT` that it reads its port from.
    pub port_variable: Option<String>,
}
