use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use memchr::memchr;

use super::Failure;

/// The longest line that is read: the log cuts lines long before, and JSON makes them
/// a few times longer; events begin with a snapshot of perhaps thousands of services.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// The lines of a log, or events, as they come, each one JSON object.
pub struct Lines {
    body: Incoming,
    /// What came and was not given yet; holds at most a part of a line after each turn.
    pending: BytesMut,
}

impl Lines {
    pub(super) fn new(body: Incoming) -> Lines {
        Lines { body, pending: BytesMut::new() }
    }

    /// The next lines, at least one, without their ends; `None` when they have ended. A failure
    /// when the stack went away in the middle.
    pub async fn next(&mut self) -> Result<Option<Vec<Bytes>>, Failure> {
        loop {
            let lines = self.whole_lines();
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            if self.pending.len() > MAX_LINE {
                return Err(Failure::garbled(format!("a line is longer than {MAX_LINE} bytes")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.pending.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) => return Err(Failure::cut_off()),
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
