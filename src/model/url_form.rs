use super::stack::host_port;

/// How the URL of a service is written around its address: `postgresql://user@` HOST:PORT `/database`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlForm {
    /// What stands before the address.
    pub before: String,
    /// What stands behind it.
    pub after: String,
}

impl UrlForm {
    /// The URL at this address. A wildcard is written as the loopback address of its family.
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
