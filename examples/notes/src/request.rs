use std::io::{self, BufRead, BufReader, Read, Write};

/// Request line and headers together: far more than a browser sends, far less than would hurt.
const MAX_HEAD_BYTES: u64 = 16 * 1024;
/// A note is a few lines of text.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A request that was read completely.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, `PUT`…, as it was sent.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The body; empty when there is none.
    pub body: String,
}

/// Why a request was not understood: the status to answer with.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Not HTTP, or a part of it that these programs do not speak.
    BadRequest,
    /// Head or body above the limits of this file.
    TooLarge,
    /// The connection ended or was too slow: there is no client to answer.
    Gone,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Refusal::BadRequest,
            _ => Refusal::Gone,
        }
    }
}

impl Request {
    /// Reads one request from `stream`, which is also written to when the client waits for permission to send its body.
    pub(crate) fn read<S: Read + Write>(stream: &mut S) -> Result<Request, Refusal> {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        let first = read_line(&mut reader, &mut head)?;
        let mut words = first.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Refusal::BadRequest);
        };
        if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
            return Err(Refusal::BadRequest);
        }
        let path = target.split_once('?').map_or(target, |(path, _)| path).to_owned();
        let method = method.to_owned();

        let mut length = 0;
        let mut client_waits = false;
        loop {
            let line = read_line(&mut reader, &mut head)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or(Refusal::BadRequest)?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    length = value.trim().parse().map_err(|_| Refusal::BadRequest)?;
                }
                // Clients send a length for a body as small as a note.
                "transfer-encoding" => return Err(Refusal::BadRequest),
                "expect" => client_waits = true,
                _ => {}
            }
        }
        if length > MAX_BODY_BYTES {
            return Err(Refusal::TooLarge);
        }
        if client_waits {
            reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8(body).map_err(|_| Refusal::BadRequest)?;
        Ok(Request { method, path, body })
    }
}

/// The next line of the head without its end. `head` collects what was read, so that the limit is one for all lines.
fn read_line<R: BufRead>(reader: &mut R, head: &mut Vec<u8>) -> Result<String, Refusal> {
    let start = head.len();
    let left = MAX_HEAD_BYTES.saturating_sub(start as u64);
    reader.by_ref().take(left).read_until(b'\n', head)?;
    if !head.ends_with(b"\n") || head.len() == start {
        let full = head.len() as u64 >= MAX_HEAD_BYTES;
        return Err(if full { Refusal::TooLarge } else { Refusal::Gone });
    }
    let line = std::str::from_utf8(&head[start..]).map_err(|_| Refusal::BadRequest)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn read(text: &str) -> Result<Request, Refusal> {
        Request::read(&mut Cursor::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn reads_a_post_with_its_body() {
        let request =
            read("POST /notes?x=1 HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 8\r\n\r\nbuy milk")
                .unwrap();
        assert_eq!(
            request,
            Request { method: "POST".into(), path: "/notes".into(), body: "buy milk".into() }
        );
    }

    #[test]
    fn refuses_what_is_not_http() {
        for text in [
            "GET / SPDY\r\n\r\n",
            "GET /\r\n\r\n",
            "GET a b HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nx\r\n\r\n",
        ] {
            assert!(matches!(read(text), Err(Refusal::BadRequest)), "{text:?}");
        }
        assert!(matches!(
            read("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
            Err(Refusal::BadRequest)
        ));
    }

    #[test]
    fn refuses_what_is_too_large_before_reading_it_all() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20_000));
        assert!(matches!(read(&long), Err(Refusal::TooLarge)));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5_000));
        assert!(matches!(read(&many), Err(Refusal::TooLarge)));
        let body = "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n";
        assert!(matches!(read(body), Err(Refusal::TooLarge)));
    }

    #[test]
    fn a_connection_that_ends_early_is_gone() {
        assert!(matches!(read(""), Err(Refusal::Gone)));
        assert!(matches!(read("GET / HT"), Err(Refusal::Gone)));
        assert!(matches!(
            read("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"),
            Err(Refusal::Gone)
        ));
    }
}
