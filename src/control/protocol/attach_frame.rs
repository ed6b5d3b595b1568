use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::attach_event::AttachEvent;
use crate::sys::pty::TermSize;

/// Value of the HTTP `Upgrade` header.
pub(crate) const UPGRADE: &str = "devstack-attach";

/// Maximum content of a frame in bytes.
const CONTENT_MAX: usize = 64 * 1024;
/// Bytes to read at once: enough for a paste, little for a key.
pub(crate) const READ: usize = 16 * 1024;
/// Length of a frame's head: kind and content length.
const HEAD: usize = 5;

/// A frame: a letter for the kind, the content length in four bytes (big endian), the content.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AttachFrame {
    /// `i`: keys for the service.
    Input(Bytes),
    /// `r`: size of the client's terminal as two bytes for rows and two for columns.
    Resize(TermSize),
    /// `o`: output of the terminal.
    Output(Bytes),
    /// `e`: an event as JSON.
    Event(AttachEvent),
}

/// Bytes that are not a valid frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidFrame;

impl AttachFrame {
    /// Appends the frame; content over the limit is split into several frames.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            AttachFrame::Input(keys) => parts(b'i', keys, out),
            AttachFrame::Output(bytes) => parts(b'o', bytes, out),
            AttachFrame::Resize(TermSize { rows, columns }) => {
                let [[a, b], [c, d]] = [rows.to_be_bytes(), columns.to_be_bytes()];
                one(b'r', &[a, b, c, d], out);
            }
            AttachFrame::Event(event) => {
                let json = serde_json::to_vec(event).expect("events serialize to JSON");
                one(b'e', &json, out);
            }
        }
    }

    /// Removes the first frame from the bytes read; `None` if it is incomplete.
    pub fn decode(read: &mut BytesMut) -> Result<Option<AttachFrame>, InvalidFrame> {
        let Some((head, rest)) = read.split_first_chunk::<HEAD>() else { return Ok(None) };
        let [kind, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if length > CONTENT_MAX || !b"iroe".contains(&kind) {
            return Err(InvalidFrame);
        }
        if rest.len() < length {
            return Ok(None);
        }
        read.advance(HEAD);
        let content = read.split_to(length).freeze();
        AttachFrame::of(kind, content).map(Some)
    }

    fn of(kind: u8, content: Bytes) -> Result<AttachFrame, InvalidFrame> {
        match (kind, &*content) {
            (b'i', _) => Ok(AttachFrame::Input(content)),
            (b'o', _) => Ok(AttachFrame::Output(content)),
            (b'r', &[a, b, c, d]) => {
                let [rows, columns] = [[a, b], [c, d]].map(u16::from_be_bytes);
                Ok(AttachFrame::Resize(TermSize { rows, columns }))
            }
            (b'e', json) => {
                serde_json::from_slice(json).map(AttachFrame::Event).map_err(|_| InvalidFrame)
            }
            (_, _) => Err(InvalidFrame),
        }
    }
}

fn parts(kind: u8, content: &[u8], out: &mut BytesMut) {
    content.chunks(CONTENT_MAX).for_each(|part| one(kind, part, out));
}

fn one(kind: u8, content: &[u8], out: &mut BytesMut) {
    let length = u32::try_from(content.len()).expect("frame content is limited");
    out.put_u8(kind);
    out.put_u32(length);
    out.put_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Message, MessageClass, Name, ProcessExit, RunId};

    fn frames() -> Vec<AttachFrame> {
        let service = Name::new("api").unwrap();
        let why = Message::new(MessageClass::NotRunning, "the stack has stopped");
        let events = [
            AttachEvent::Attached { service, run: Some(RunId(3)), cause: "ready".to_owned() },
            AttachEvent::Began { run: RunId(4) },
            AttachEvent::Ended { run: RunId(4), exit: Some(ProcessExit::Code(1)) },
            AttachEvent::Missed { bytes: 300 },
            AttachEvent::Closed { why },
        ];
        let mut frames = vec![
            AttachFrame::Input(Bytes::from_static(b"n\r")),
            AttachFrame::Resize(TermSize { rows: 40, columns: 300 }),
            AttachFrame::Output(Bytes::from_static(b"\x1b[1m(Pdb)\0 \xff")),
        ];
        frames.extend(events.map(AttachFrame::Event));
        frames
    }

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let mut all = BytesMut::new();
        frames().iter().for_each(|frame| frame.encode(&mut all));
        let (mut read, mut found) = (BytesMut::new(), Vec::new());
        for byte in all {
            read.put_u8(byte);
            while let Some(frame) = AttachFrame::decode(&mut read).unwrap() {
                found.push(frame);
            }
        }
        assert_eq!(found, frames());
        assert!(read.is_empty());
    }

    #[test]
    fn the_bytes_are_as_the_documentation_has_them() {
        let text = |frame: &AttachFrame| {
            let mut bytes = BytesMut::new();
            frame.encode(&mut bytes);
            bytes.escape_ascii().to_string()
        };
        let all: Vec<String> = frames().iter().map(text).collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn long_contents_become_several_frames() {
        let mut all = BytesMut::new();
        AttachFrame::Output(vec![b'x'; 2 * CONTENT_MAX + 1].into()).encode(&mut all);
        let lengths = std::iter::from_fn(|| match AttachFrame::decode(&mut all) {
            Ok(Some(AttachFrame::Output(part))) => Some(part.len()),
            other => panic!("{other:?}"),
        });
        assert_eq!(lengths.take(3).collect::<Vec<_>>(), [CONTENT_MAX, CONTENT_MAX, 1]);
    }

    #[test]
    fn invalid_frames_are_refused_at_once() {
        for garbage in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\0\0\0\0\0",
            b"i\xff\xff\xff\xff",
            b"i\0\x01\0\x01",
            b"r\0\0\0\x03abc",
            b"e\0\0\0\x02{]",
            b"x\0\0\0\0",
        ] {
            let garbled = AttachFrame::decode(&mut BytesMut::from(garbage));
            assert_eq!(garbled, Err(InvalidFrame), "{}", garbage.escape_ascii());
        }
        let later =
            AttachFrame::decode(&mut BytesMut::from(&b"e\0\0\0\x10{\"event\":\"later\"}"[..]));
        assert_eq!(later, Err(InvalidFrame), "cut off");
        let later =
            AttachFrame::decode(&mut BytesMut::from(&b"e\0\0\0\x11{\"event\":\"later\"}"[..]));
        assert_eq!(later, Ok(Some(AttachFrame::Event(AttachEvent::Unknown))));
    }
}
