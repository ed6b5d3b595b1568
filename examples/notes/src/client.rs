//! The other side: asking the API.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use std::{env, fmt};

/// The API is on this machine; when it has not answered by then it is restarting or stuck.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than all notes together.
const MAX_ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// The address of the API, from `DEVSTACK_API_URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// `host:port`
    authority: String,
}

/// What the API answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// For example 200.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl Api {
    /// Reads `DEVSTACK_API_URL`, which devstack sets for every service that depends on `api`.
    pub fn from_env() -> Result<Api, String> {
        let url = env::var("DEVSTACK_API_URL")
            .map_err(|_| "DEVSTACK_API_URL is not set: start this with `devstack up`".to_owned())?;
        Api::at(&url)
    }

    /// The API at an `http://host:port` URL.
    pub fn at(url: &str) -> Result<Api, String> {
        let authority = url
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
            .filter(|rest| rest.contains(':') && !rest.contains('/'))
            .ok_or_else(|| format!("not an http://host:port address: {url:?}"))?;
        Ok(Api { authority: authority.to_owned() })
    }

    /// Sends one request and waits for the whole answer.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let mut stream = self.connect()?;
        let length = body.len();
        let authority = &self.authority;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
        Answer::parse(&answer)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Answer> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, body: body.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_addresses_it_can_call() {
        assert_eq!(Api::at("http://127.0.0.1:4000").unwrap().to_string(), "http://127.0.0.1:4000");
        assert_eq!(Api::at("http://[::1]:4000/").unwrap().to_string(), "http://[::1]:4000");
        for url in ["https://a:1", "a:1", "http://a", "http://a:1/b", ""] {
            assert!(Api::at(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn reads_answers() {
        let answer = Answer::parse(b"HTTP/1.1 201 Created\r\nA: b\r\n\r\nhello").unwrap();
        assert_eq!(answer, Answer { status: 201, body: "hello".into() });
        assert_eq!(Answer::parse(b"hello"), None);
        assert_eq!(Answer::parse(b"HTTP/1.1 abc\r\n\r\n"), None);
    }
}
