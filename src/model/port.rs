use super::Name;

/// A port that a service asks for, before one is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRequest {
    /// The service.
    pub service: Name,
    /// `main`, or its key in `ports`.
    pub port: String,
    /// The wanted number, above 0; `None`: any.
    pub number: Option<u16>,
    /// Whether the number is pinned or preferred.
    pub weight: PortWeight,
    /// The source, for messages: `--port`, `API_PORT`, `PORT`, `.env`, `devstack.toml`.
    pub requested_by: String,
    /// What to do if the number is taken and not pinned.
    pub on_conflict: ConflictPolicy,
}

/// How strong a port request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortWeight {
    /// This port, or the start fails.
    Pinned,
    /// This port if it is free, else by `on_conflict`.
    Preferred,
    /// Any free port.
    Any,
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

/// How to make a program use the assigned port and host, as ends of sentences: `pass --port $PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindHints {
    /// How to set its port.
    pub port: String,
    /// How to set its host; `None`: not possible or unknown.
    pub host: Option<String>,
    /// A variable other than `PORT` that it reads its port from.
    pub port_variable: Option<String>,
}
