use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use memchr::memchr;

use super::connection::{check_protocol, read_body};
use crate::control::ClientError;

/// Maximum length of a line in bytes; must hold a line of a log of 16 MiB, each byte escaped.
const MAX_LINE: usize = 128 * 1024 * 1024;

/// A stream of log lines or events, one JSON object each.
pub struct LineStream {
    body: Incoming,
    /// Received but not returned yet; between calls at most part of a line.
    pending: BytesMut,
}

impl LineStream {
    /// Takes the body of a successful response; returns the error of any other.
    pub(super) async fn of(answer: Response<Incoming>) -> Result<LineStream, ClientError> {
        check_protocol(&answer)?;
        if answer.status().is_success() {
            return Ok(LineStream { body: answer.into_body(), pending: BytesMut::new() });
        }
        read_body(answer).await?;
        Err(ClientError::unreadable_response("unexpected status"))
    }

    /// Returns the next lines, at least one, without newlines; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Bytes>>, ClientError> {
        loop {
            let lines = self.whole_lines();
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            if self.pending.len() > MAX_LINE {
                return Err(ClientError::unreadable_response(format!(
                    "line exceeds {MAX_LINE} bytes"
                )));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.pending.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) => return Err(ClientError::truncated()),
                None => return Ok(None),
            }
        }
    }

    fn whole_lines(&mut self) -> Vec<Bytes> {
        let mut lines = Vec::new();
        while let Some(end) = memchr(b'\n', &self.pending) {
            lines.push(self.pending.split_to(end).freeze());
            self.pending.advance(1);
        }
        lines
    }
}
