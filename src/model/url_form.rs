use super::stack::host_port;

/// What surrounds the address in the URL of a service: `postgresql://user@` HOST:PORT `/database`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlForm {
    /// The text before the address.
    pub before: String,
    /// The text after the address.
    pub after: String,
}

impl UrlForm {
    /// Returns the URL at this address, with loopback instead of a wildcard.
    pub fn at(&self, host: &str, port: u16) -> String {
        format!("{}{}{}", self.before, host_port(host, port), self.after)
    }
}

impl Default for UrlForm {
    /// `http://HOST:PORT`.
    fn default() -> UrlForm {
        UrlForm { before: "http://".to_owned(), after: String::new() }
    }
}
