use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::log_items::LogItems;
use crate::encoding::to_base64;
use crate::log::line_split::MAX_LINE;
use crate::log::log_item::LogItem;
use crate::log::log_line::LogLine;
use crate::log::shared::{EncodedChunks, SharedLog};

/// Encodes items as one line of JSON each, in parts. While its client does not read, a long line waits
/// as its bytes, which readers share, and not as JSON.
#[derive(Default)]
pub(crate) struct ItemEncoder {
    items: LogItems,
    long: Option<LongLineEncoder>,
    /// What is left of a chunk that readers share.
    pieces: VecDeque<Bytes>,
    log: Option<Arc<SharedLog>>,
}

/// A line that is encoded piece by piece.
struct LongLineEncoder {
    /// What is left of it.
    text: Bytes,
    is_utf8: bool,
    /// What follows the text.
    end: Vec<u8>,
}

/// Bytes of a line that are encoded at once. Base64 encodes three of them together.
const PIECE: usize = 3 * 4096;

/// A line without text has this, once.
const NO_TEXT: &[u8] = br#""line":"""#;

impl ItemEncoder {
    pub fn new(items: LogItems, log: Arc<SharedLog>) -> ItemEncoder {
        ItemEncoder { items, log: Some(log), ..ItemEncoder::default() }
    }

    /// Returns the next part of about `size` bytes; an empty one at the end.
    pub fn next_part(&mut self, size: usize) -> Bytes {
        let mut part = Vec::new();
        while part.len() < size {
            if let Some(piece) = self.pieces.front() {
                if part.is_empty() && piece.len() >= EncodedChunks::PIECE {
                    return self.pieces.pop_front().unwrap_or_default();
                }
                if part.len() + piece.len() > size && !part.is_empty() {
                    break;
                }
                part.extend_from_slice(piece);
                self.pieces.pop_front();
                continue;
            }
            if let Some(long) = &mut self.long {
                if long.write_piece(&mut part) {
                    self.long = None;
                }
                continue;
            }
            if let Some(log) = &self.log
                && let Some(chunk) = self.items.next_whole_chunk()
            {
                self.pieces = log.encoded.pieces(&chunk).into();
                continue;
            }
            match self.items.next_with_text() {
                Some((LogItem::Line(line), text)) if text.len() > MAX_LINE => {
                    self.long = Some(LongLineEncoder::begin(line, text, &mut part));
                }
                Some((item, text)) => item.with_text(&text).write_json(&mut part),
                None => break,
            }
        }
        part.into()
    }
}

impl LongLineEncoder {
    /// Writes what comes before the text.
    fn begin(line: LogLine, text: Bytes, part: &mut Vec<u8>) -> LongLineEncoder {
        let mut json = Vec::new();
        LogItem::Line(line).write_json(&mut json);
        let at = memchr::memmem::find(&json, NO_TEXT).expect("the line has no text");
        let end = json.split_off(at + NO_TEXT.len() - 1);
        json.truncate(at);
        part.append(&mut json);
        let is_utf8 = std::str::from_utf8(&text).is_ok();
        part.extend_from_slice(if is_utf8 { br#""line":""# } else { br#""line_base64":""# });
        LongLineEncoder { text, is_utf8, end }
    }

    /// Writes the next piece. Returns whether it was the last one.
    fn write_piece(&mut self, part: &mut Vec<u8>) -> bool {
        let mut len = PIECE.min(self.text.len());
        let inside = |at: usize| self.text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
        while self.is_utf8 && inside(len) {
            len -= 1;
        }
        let piece = self.text.split_to(len);
        match std::str::from_utf8(&piece) {
            Ok(text) if self.is_utf8 => {
                let json = serde_json::to_vec(text).expect("a string always serializes");
                part.extend_from_slice(&json[1..json.len() - 1]);
            }
            Ok(_) | Err(_) => part.extend_from_slice(to_base64(&piece).as_bytes()),
        }
        if self.text.is_empty() {
            part.append(&mut self.end);
        }
        self.text.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::log_source::LogSource;
    use crate::log::log_warnings::LogWarnings;
    use crate::log::read::line_filter::LineFilter;
    use crate::log::read::log_cursor::ReadStep;
    use crate::log::store::{IndexEntry, LogChunk};
    use crate::model::{Name, OutputStream, RunId};

    fn items(texts: &[Vec<u8>]) -> LogItems {
        let chunk = |(seq, text): (u64, &Vec<u8>)| {
            let (run, stream, len) = (RunId(1), OutputStream::Stdout, text.len() as u32);
            let open = !text.ends_with(b"\n");
            let (offset, lines, continues, more, lost) = (0, 1, seq == 2, false, false);
            let batch = IndexEntry {
                at: 7,
                seq,
                run,
                offset,
                len,
                lines,
                stream,
                continues,
                open,
                more,
                lost,
            };
            let source = LogSource::Service(Name::new("api").unwrap());
            LogChunk { source, batch, bytes: text.clone().into() }
        };
        let chunks = (0..).zip(texts).map(chunk).collect();
        let step = ReadStep { chunks, ..ReadStep::default() };
        LogItems::of(step, &Arc::<LineFilter>::default(), None, None)
    }

    #[test]
    fn a_long_line_in_parts_is_the_same_json() {
        let text = "a \"quoted\" \u{1} ä€😀\t\"line\":\"\"".repeat(10_000);
        let long = |end: &str| format!("{text}{end}").into_bytes();
        let texts = [
            b"short\n".to_vec(),
            long("\r\n"),
            long("x"),
            [&long("")[..], b"\xff", &long("\n")].concat(),
            vec![0xFE; 500_000],
            vec![b'\n'],
        ];
        let mut whole = Vec::new();
        items(&texts).for_each(|item| item.write_json(&mut whole));
        let log = Arc::new(SharedLog::new(None, Arc::<LogWarnings>::default(), false));
        // The second reader gets what was encoded for the first one.
        for _ in 0..2 {
            let mut encoder = ItemEncoder::new(items(&texts), log.clone());
            let mut joined = Vec::new();
            loop {
                let part = encoder.next_part(MAX_LINE);
                if part.is_empty() {
                    break;
                }
                assert!(part.len() <= MAX_LINE + 6 * PIECE + 1024, "{}", part.len());
                joined.extend(part);
            }
            assert!(joined == whole, "{} and {} bytes", joined.len(), whole.len());
        }
    }

    #[test]
    fn readers_of_the_same_lines_share_their_json() {
        let log = Arc::new(SharedLog::new(None, Arc::<LogWarnings>::default(), false));
        let texts = ["a line\n".repeat(3000).into_bytes(), "another\n".repeat(3000).into_bytes()];
        let read = || ItemEncoder::new(items(&texts), log.clone()).next_part(MAX_LINE);
        let (one, other) = (read(), read());
        assert!(one.len() >= EncodedChunks::PIECE);
        assert_eq!((one.as_ptr(), one.len()), (other.as_ptr(), other.len()));
    }
}
