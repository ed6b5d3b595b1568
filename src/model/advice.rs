/// What to change in a service so that it listens where it is told, as ends of sentences: `pass --port $PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// So that it takes its port.
    pub port: String,
    /// So that it takes its address; `None`: it has no way to be told, or none is known.
    pub host: Option<String>,
    /// A variable other than `PORT` that it takes its port from.
    pub variable: Option<String>,
}
