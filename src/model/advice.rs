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
