use super::PresetFacts;
use super::server::KnownServer;

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
