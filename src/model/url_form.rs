use super::stack::host_port;

/// What surrounds the address in the URL of a service: `postgresql://user@` HOST:PORT `/database`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlFormat {
    /// The text before the address.
    pub prefix: String,
    /// The text after the address.
    pub suffix: String,
}

impl UrlFormat {
    /// Returns the URL at this address, with loopback instead of a wildcard.
    pub fn format(&self, host: &str, port: u16) -> String {
        format!("{}{}{}", self.prefix, host_port(host, port), self.suffix)
    }
}

impl Default for UrlFormat {
    /// `http://HOST:PORT`.
    fn default() -> UrlFormat {
        UrlFormat { prefix: "http://".to_owned(), suffix: String::new() }
    }
}
