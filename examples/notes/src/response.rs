use std::io::{self, Write};

/// What is answered to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// For example 200.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// Where a browser goes next, for a 303.
    pub location: Option<&'static str>,
    /// The body.
    pub body: String,
}

impl Response {
    /// A JSON text with a status.
    pub fn json(status: u16, body: impl Into<String>) -> Response {
        Response { status, content_type: "application/json", location: None, body: body.into() }
    }

    /// Plain text with a status.
    pub fn text(status: u16, body: impl Into<String>) -> Response {
        Response {
            status,
            content_type: "text/plain; charset=utf-8",
            location: None,
            body: body.into(),
        }
    }

    /// A page.
    pub fn html(status: u16, body: impl Into<String>) -> Response {
        Response {
            status,
            content_type: "text/html; charset=utf-8",
            location: None,
            body: body.into(),
        }
    }

    /// Sends the browser to `location` with a GET.
    pub fn see_other(location: &'static str) -> Response {
        Response { location: Some(location), ..Response::text(303, "") }
    }

    pub(crate) fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        let mut answer = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        answer += &format!("Content-Type: {}\r\n", self.content_type);
        // A 204 has no body, and by the standard no length either.
        if self.status != 204 {
            answer += &format!("Content-Length: {}\r\n", self.body.len());
        }
        if let Some(location) = self.location {
            answer += &format!("Location: {location}\r\n");
        }
        answer += "Connection: close\r\n\r\n";
        answer += &self.body;
        stream.write_all(answer.as_bytes())
    }
}

/// The words after the number; clients ignore them, people who use `curl -v` do not.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        303 => "See Other",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        _ => "Other",
    }
}
