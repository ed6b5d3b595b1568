use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::support::{TestProject, wait_limit};

/// The protocol itself, for a client that behaves as it likes.
pub struct Wire {
    stream: UnixStream,
    /// Bytes that were reported as lost.
    pub missed: u64,
}

impl Wire {
    /// Attaches, and reads the word of welcome.
    #[track_caller]
    pub fn attach(project: &TestProject, service: &str) -> Wire {
        let mut stream = UnixStream::connect(socket(project)).expect("devstack listens");
        stream.set_read_timeout(Some(wait_limit())).expect("it is a socket");
        let head = format!(
            "GET /v1/attach?service={service}&rows=24&columns=80 HTTP/1.1\r\nhost: x\r\n\
             connection: upgrade\r\nupgrade: devstack-attach\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("devstack reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            answer.extend(byte);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
        let mut wire = Wire { stream, missed: 0 };
        let (kind, content) = wire.frame();
        assert_eq!(kind, b'e');
        assert!(content.starts_with(br#"{"event":"attached""#), "{}", content.escape_ascii());
        wire
    }

    /// Types.
    pub fn type_in(&mut self, keys: &[u8]) {
        self.say(b"i", keys);
    }

    /// Has another screen.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.say(b"r", &[rows.to_be_bytes(), columns.to_be_bytes()].concat());
    }

    fn say(&mut self, kind: &[u8], content: &[u8]) {
        let length = u32::try_from(content.len()).expect("a frame is short").to_be_bytes();
        let frame = [kind, &length, content].concat();
        self.stream.write_all(&frame).expect("devstack reads");
    }

    /// Reads output until it ends so; all of it, through all runs. Counts what is missed.
    #[track_caller]
    pub fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut shown = Vec::new();
        while !shown.ends_with(end) {
            let (kind, content) = self.frame();
            if kind == b'o' {
                shown.extend(content);
                continue;
            }
            let event: serde_json::Value =
                serde_json::from_slice(&content).expect("events are JSON");
            self.missed += event["bytes"].as_u64().unwrap_or(0);
        }
        shown
    }

    fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).expect("a frame");
        let [kind, length @ ..] = head;
        let mut content = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut content).expect("a whole frame");
        (kind, content)
    }
}

fn socket(project: &TestProject) -> std::path::PathBuf {
    let dir = project.outside("run").join("devstack");
    let entries = std::fs::read_dir(dir).expect("the directory of sockets");
    let mut paths = entries.map(|entry| entry.expect("readable").path());
    paths.find(|path| path.extension().is_some_and(|end| end == "sock")).expect("a socket")
}
