use std::sync::Arc;

use tokio::time::Instant;

use super::action_output::ActionPipe;
use crate::log::LogCapture;
use crate::model::{Name, OutputStream, ProcessExit};
use crate::process::{BoxFuture, OutputSink};

/// Where the output of an action goes: to the client as it is, and to the log of its service with
/// the name of the action at the start of each line.
pub(super) struct ActionSink {
    pub capture: LogCapture,
    pub pipe: Arc<ActionPipe>,
    pub label: LineLabel,
}

/// Marks lines by what precedes them.
pub(super) struct LineLabel {
    label: Vec<u8>,
    /// Whether the next byte begins a line, by stream.
    begins: [bool; 2],
}

impl LineLabel {
    pub fn new(action: &Name) -> LineLabel {
        LineLabel { label: format!("[{action}] ").into_bytes(), begins: [true; 2] }
    }

    fn mark(&mut self, stream: OutputStream, bytes: &[u8]) -> Vec<u8> {
        let begins = &mut self.begins[stream as usize];
        let mut marked = Vec::with_capacity(bytes.len() + self.label.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if *begins {
                marked.extend_from_slice(&self.label);
            }
            marked.extend_from_slice(line);
            *begins = line.ends_with(b"\n");
        }
        marked
    }
}

impl OutputSink for ActionSink {
    fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.pipe.push(stream, bytes);
        self.capture.push(stream, &self.label.mark(stream, bytes));
    }

    fn full(&self) -> Option<BoxFuture> {
        match (self.pipe.full(), self.capture.full()) {
            (None, None) => None,
            (Some(full), None) | (None, Some(full)) => Some(full),
            (Some(client), Some(disk)) => Some(Box::pin(async move {
                client.await;
                disk.await;
            })),
        }
    }

    fn quiet_at(&self) -> Option<Instant> {
        self.capture.quiet_at()
    }

    fn quiet(&mut self, now: Instant) {
        self.capture.quiet(now);
    }

    fn closed(&mut self, _exit: Option<ProcessExit>) {
        self.capture.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_each_stream_is_marked_once() {
        let mut label = LineLabel::new(&Name::new("seed").expect("a valid name"));
        let mut text = Vec::new();
        for (stream, part) in [
            (OutputStream::Stdout, "one\ntw"),
            (OutputStream::Stderr, "oh\n"),
            (OutputStream::Stdout, "o\n\nlast"),
        ] {
            text.extend(label.mark(stream, part.as_bytes()));
        }
        let text = String::from_utf8(text).expect("it is text");
        assert_eq!(text, "[seed] one\n[seed] tw[seed] oh\no\n[seed] \n[seed] last");
    }
}
