//! Entry points for the targets in `fuzz/` that need more than the public interface.

use bytes::BytesMut;

use crate::cli::attach::keys::split_at_detach;
use crate::control::InstanceRecord;
use crate::control::protocol::{AttachFrame, AttachQuery, LogQuery, QueryParams};
use crate::log::escape_filter;
use crate::log::store::{IndexEntry, IndexHeader};
use crate::log::{LogItem, LogOutput, LogStyle, StackLog};
use crate::model::{EventView, Snapshot};
use crate::process::keeper::RunMessage;
use crate::supervisor::SupervisorHandle;
use crate::supervisor::feed::EventFeed;

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

/// Reports of the guard.
pub fn keeper_reports(mut bytes: &[u8]) {
    while let Ok(Some((report, used))) = RunMessage::decode(bytes) {
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

/// Files in which a stack remembers its processes and ports, and the contents of lock files.
pub fn records(text: &[u8]) {
    crate::process::cleanup::process_record::fuzz(text);
    crate::ports::history::fuzz(text);
    if let Ok(record) = serde_json::from_slice::<InstanceRecord>(text) {
        let written = serde_json::to_vec(&record).expect("plain data always serializes");
        assert_eq!(serde_json::from_slice::<InstanceRecord>(&written).ok(), Some(record));
    }
}

/// Paths and bodies of requests, and lines of responses.
pub fn protocol(path: &str, body: &[u8]) {
    let snapshot = serde_json::from_slice(SNAPSHOT).expect("a snapshot");
    crate::control::server::router::fuzz(path, body, &snapshot);
    let _ = serde_json::from_slice::<Snapshot>(body);
    let _ = serde_json::from_slice::<EventView>(body);
    if let Ok(item) = serde_json::from_slice::<LogItem>(body) {
        let mut written = Vec::new();
        item.write_json(&mut written);
        assert_eq!(serde_json::from_slice::<LogItem>(&written).ok(), Some(item));
    }
}

/// A stack without services.
const SNAPSHOT: &[u8] = br#"{"version": 1, "stack": "shop", "dir": "/", "mode": "run",
    "supervisor_pid": 1, "primary": null, "state": "up", "event": 0, "networks": [], "services": []}"#;

/// What a client sends to the control socket, as a whole.
pub fn wire(bytes: &[u8]) {
    thread_local! {
        static SERVER: (tokio::runtime::Runtime, SupervisorHandle) = server();
    }
    SERVER.with(|(runtime, handle)| {
        runtime.block_on(crate::control::server::fuzz(handle.clone(), bytes));
    });
}

/// What clients send to the front door and services answer, separated by a line of dashes, and
/// headers.
pub fn proxy(bytes: &[u8]) {
    const LINE: &[u8] = b"\n---\n";
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    crate::proxy::fuzz_headers(bytes);
    let end = bytes.windows(LINE.len()).position(|part| part == LINE);
    let (request, response) = match end {
        Some(end) => (&bytes[..end], &bytes[end + LINE.len()..]),
        None => (bytes, &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..]),
    };
    let routes = |port| {
        let served = serde_json::json!({ "label": "web", "host": "keep", "balance": "least" });
        let web = serde_json::json!({
            "name": "web", "kind": "service", "phase": "ready", "since": "", "cause": "", "run": 1,
            "restarts": 0, "port": port, "pinned": false, "ports": { "main": port },
            "host": "127.0.0.1", "waiting_on": [], "proxy": served,
        });
        let mut snapshot: serde_json::Value = serde_json::from_slice(SNAPSHOT).expect("JSON");
        snapshot["services"] = [web].into_iter().collect();
        snapshot["proxy"] = serde_json::json!({
            "domain": "shop.localhost", "port": 7780, "wait_ms": 1, "parked": 8, "bodies": 64,
            "requests": true,
        });
        let snapshot = serde_json::from_value(snapshot).expect("a snapshot");
        crate::proxy::RouteTable::new([std::sync::Arc::new(snapshot)])
    };
    let received = RUNTIME.with(|runtime| {
        let answered = crate::proxy::fuzz(routes, request, response);
        tokio::task::LocalSet::new().block_on(runtime, answered)
    });
    let http1 = !request.starts_with(b"PRI");
    assert!(!http1 || received.is_empty() || received.starts_with(b"HTTP/1."), "{received:?}");
}

/// A log without lines, and no supervisor behind the handle.
fn server() -> (tokio::runtime::Runtime, SupervisorHandle) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let style = LogStyle::new(false);
    let logs = StackLog::open(std::path::Path::new("/nonexistent"), style, LogOutput::None);
    let (requests, _) = tokio::sync::mpsc::unbounded_channel();
    let handle = SupervisorHandle::new(requests, logs, EventFeed::new().subscribe());
    (runtime.expect("a runtime"), handle)
}

/// Keys typed into `attach`, as one read gives them. None is lost or doubled.
pub fn keys(typed: &[u8]) {
    let (before, leaves) = split_at_detach(typed);
    assert!(typed.starts_with(before));
    assert_eq!(leaves, before.len() < typed.len());
    assert_eq!(split_at_detach(before), (before, false));
}

/// Answers of the kernel about sockets.
#[cfg(target_os = "linux")]
pub fn netlink(bytes: &[u8]) {
    crate::sys::linux::sock_diag::fuzz(bytes);
}

/// A text of devstack as it comes to a terminal.
pub fn shown(text: &str) -> String {
    crate::text::clean(text, false).into_owned()
}
