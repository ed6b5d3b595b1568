use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::wait_limit;

/// Maximum number of bytes read.
const MAX_REPLY: u64 = 64 * 1024 * 1024;

/// An HTTP reply.
#[derive(Debug)]
pub struct HttpReply {
    pub status: u16,
    /// Header lines.
    pub head: String,
    pub body: String,
}

impl HttpReply {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next()
    }

    /// Parses the body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// `GET path` from 127.0.0.1; a server must answer.
#[track_caller]
pub fn http_get(port: u16, path: &str) -> HttpReply {
    try_http_get("127.0.0.1", port, path)
        .unwrap_or_else(|error| panic!("GET 127.0.0.1:{port}{path}: {error}"))
}

/// `GET path` from a host, which may fail.
pub fn try_http_get(host: &str, port: u16, path: &str) -> io::Result<HttpReply> {
    let stream = TcpStream::connect((host, port))?;
    stream.set_read_timeout(Some(wait_limit()))?;
    ask(stream, "GET", path, &format!("localhost:{port}"), "")
}

/// `GET path` from 127.0.0.1 with this `Host`.
pub fn http_get_named(port: u16, host: &str, path: &str) -> io::Result<HttpReply> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(wait_limit()))?;
    ask(stream, "GET", path, host, "")
}

/// `GET path` over TLS from 127.0.0.1 with this `Host`, as a client that trusts this CA and nothing
/// else.
pub fn https_get_named(port: u16, ca: &Path, host: &str, path: &str) -> io::Result<HttpReply> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(ca).map_err(io::Error::other)?;
    roots.add(ca).map_err(io::Error::other)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = host.split(':').next().unwrap_or_default().to_owned();
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let client = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(wait_limit()))?;
    ask(StreamOwned::new(client, stream), "GET", path, host, "")
}

/// Sends a request over a Unix socket; a body, if any, is JSON. The reply must end (no streams).
pub fn http_socket(socket: &Path, method: &str, path: &str, body: &str) -> io::Result<HttpReply> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(wait_limit()))?;
    ask(stream, method, path, "localhost", body)
}

/// Sends these bytes to 127.0.0.1 and reads the reply to the end of the connection, or `None`: the
/// server closed it without one.
pub fn http_raw(port: u16, request: &[u8]) -> io::Result<Option<HttpReply>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(wait_limit()))?;
    // A server may refuse what it has not read.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let read = stream.take(MAX_REPLY).read_to_end(&mut bytes);
    match parse(&bytes) {
        None => read.map(|_| None),
        reply => Ok(reply),
    }
}

fn ask(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    host: &str,
    body: &str,
) -> io::Result<HttpReply> {
    let length = body.len();
    let fields = format!("Host: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n");
    // In one piece: PHP's server closes some connections whose head comes in many.
    let request =
        format!("{method} {path} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(MAX_REPLY).read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("no HTTP: {:?}", String::from_utf8_lossy(&bytes)),
        )
    })
}

fn parse(bytes: &[u8]) -> Option<HttpReply> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let (first, head) = head.split_once("\r\n").unwrap_or((&head, ""));
    let status = first.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    let mut reply = HttpReply { status, head: head.to_owned(), body: String::new() };
    let chunked = reply
        .header("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let body = &bytes[end + 4..];
    let body = if chunked { join_chunks(body)? } else { body.to_vec() };
    reply.body = String::from_utf8_lossy(&body).into_owned();
    Some(reply)
}

fn join_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 2 + size + 2..)?;
    }
}
