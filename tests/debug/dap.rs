//! As much of the debug adapter protocol as an editor needs to stop at one line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::wait_limit;

/// An editor's side of a connection to debugpy.
pub struct Dap {
    input: BufReader<TcpStream>,
    output: TcpStream,
    seq: u64,
    /// What came while something else was waited for.
    early: Vec<Value>,
}

impl Dap {
    /// Attaches to the program behind this port, and stops it whenever it comes to this line.
    #[track_caller]
    pub fn attach(port: u16, file: &Path, line: u32) -> Dap {
        let output = TcpStream::connect(("127.0.0.1", port)).expect("the debugger listens");
        output.set_read_timeout(Some(wait_limit())).expect("not zero");
        let input = BufReader::new(output.try_clone().expect("a second handle"));
        let mut dap = Dap { input, output, seq: 0, early: Vec::new() };
        let asked = dap.send("initialize", json!({ "adapterID": "test", "pathFormat": "path" }));
        dap.answer(asked);
        let attached = dap.send("attach", json!({ "justMyCode": false }));
        dap.event("initialized");
        let wanted = json!({ "source": { "path": file }, "breakpoints": [{ "line": line }] });
        let set = dap.send("setBreakpoints", wanted);
        assert_eq!(dap.answer(set)["breakpoints"][0]["verified"], true);
        let done = dap.send("configurationDone", json!({}));
        dap.answer(done);
        dap.answer(attached);
        dap
    }

    /// Waits until the program stops at the breakpoint; returns the thread.
    #[track_caller]
    pub fn stopped(&mut self) -> u64 {
        let body = self.event("stopped");
        assert_eq!(body["reason"], "breakpoint");
        body["threadId"].as_u64().expect("a thread")
    }

    /// Lets it go on.
    #[track_caller]
    pub fn go_on(&mut self, thread: u64) {
        let asked = self.send("continue", json!({ "threadId": thread }));
        self.answer(asked);
    }

    fn send(&mut self, command: &str, arguments: Value) -> u64 {
        self.seq += 1;
        let text = json!({ "seq": self.seq, "type": "request", "command": command, "arguments": arguments });
        let text = text.to_string();
        write!(self.output, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("it listens");
        self.seq
    }

    #[track_caller]
    fn answer(&mut self, to: u64) -> Value {
        let message = self.wait(|message| message["request_seq"] == to);
        assert_eq!(message["success"], true, "{message}");
        message["body"].clone()
    }

    #[track_caller]
    fn event(&mut self, name: &str) -> Value {
        self.wait(|message| message["type"] == "event" && message["event"] == name)["body"].clone()
    }

    #[track_caller]
    fn wait(&mut self, accept: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.early.iter().position(&accept) {
            return self.early.remove(at);
        }
        loop {
            let message = self.message();
            if accept(&message) {
                return message;
            }
            self.early.push(message);
        }
    }

    #[track_caller]
    fn message(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            let read = self.input.read_line(&mut line);
            assert!(read.is_ok_and(|read| read > 0), "the debugger has gone; {:?}", self.early);
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", text)) => length = text.parse().expect("a number"),
                Some(_) => {}
                None => break,
            }
        }
        let mut text = vec![0; length];
        self.input.read_exact(&mut text).expect("the whole message");
        serde_json::from_slice(&text).expect("JSON")
    }
}
