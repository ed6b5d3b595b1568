//! Entry points for the targets in `fuzz/` that need more than the public interface.

use bytes::BytesMut;

use crate::control::protocol::{AttachFrame, AttachQuery, LogQuery, QueryParams};
use crate::log::format::escape_filter;
use crate::log::store::{IndexEntry, IndexHeader};
use crate::process::keeper::KeeperReport;

/// Frames of the attach protocol. What was decoded must survive encoding.
pub fn attach_frames(bytes: &[u8]) {
    let mut read = BytesMut::new();
    for piece in bytes.chunks(7) {
        read.extend_from_slice(piece);
        while let Ok(Some(frame)) = AttachFrame::decode(&mut read) {
            let mut encoded = BytesMut::new();
            frame.encode(&mut encoded);
            let empty = matches!(
                &frame,
                AttachFrame::Input(content) | AttachFrame::Output(content) if content.is_empty()
            );
            if !empty {
                assert_eq!(AttachFrame::decode(&mut encoded), Ok(Some(frame)));
            }
        }
    }
}

/// Query strings of requests. What was parsed must survive being written.
pub fn queries(text: &str) {
    if let Ok(query) = LogQuery::parse(text) {
        assert_eq!(LogQuery::parse(&query.to_text()).as_ref(), Ok(&query));
    }
    if let Ok(query) = AttachQuery::parse(text) {
        let written = query.to_text();
        let again = AttachQuery::parse(&written).map(|query| query.to_text());
        assert_eq!(again, Ok(written));
    }
    let _ = QueryParams::read_service(text);
}

/// Reports of a keeper.
pub fn keeper_reports(mut bytes: &[u8]) {
    while let Ok(Some((report, used))) = KeeperReport::decode(bytes) {
        let mut encoded = Vec::new();
        report.encode(&mut encoded);
        bytes = &bytes[used..];
    }
}

/// Headers and entries of a log index. An accepted entry must survive being written.
pub fn log_index(bytes: &[u8]) {
    let mut last: Option<IndexEntry> = None;
    for chunk in bytes.as_chunks::<{ IndexEntry::SIZE }>().0 {
        if let Some(entry) = IndexEntry::decode(chunk) {
            assert_eq!(IndexEntry::decode(&entry.encode()), Some(entry));
            assert!(entry.end() >= entry.offset && entry.seq_end() >= entry.seq);
            if let Some(last) = &mut last {
                last.join(&entry);
            }
            last = Some(entry);
        }
    }
    for chunk in bytes.as_chunks::<{ IndexHeader::SIZE }>().0 {
        if let Some(header) = IndexHeader::decode(chunk) {
            assert_eq!(
                IndexHeader::decode(&header.encode()).map(|same| same.encode()),
                Some(header.encode())
            );
        }
    }
}

/// Output for terminals. Nothing but text is left after filtering.
pub fn terminal(bytes: &[u8]) {
    let shown = escape_filter::strip(bytes);
    assert!(!shown.contains(|char: char| char.is_control() && char != '\t'), "{shown:?}");
    crate::terminal::fuzz(bytes);
}
