use super::Facts;
use super::server::Server;

/// How a program takes the port and the address that it is given, as ends of sentences: `pass --port $PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takes {
    /// What to do so that it listens on its port.
    pub port: String,
    /// The same for its address; `None`: it has no way to be told, or none is known.
    pub host: Option<String>,
    /// A variable other than `PORT` that it takes its port from.
    pub variable: Option<String>,
}

impl Facts {
    /// How the framework takes port and address.
    pub fn takes(&self) -> Takes {
        Takes {
            port: self.takes_port.clone(),
            host: Some(self.takes_host.clone()),
            variable: self.port_variable.clone(),
        }
    }
}

impl Server {
    pub(super) fn takes(&self) -> Takes {
        Takes {
            port: self.takes_port.clone(),
            host: self.takes_host.clone(),
            variable: self.port_variable.clone(),
        }
    }
}
