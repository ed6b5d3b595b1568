//! An agent that speaks the protocol by hand, one line of JSON after another.

use serde_json::{Value, json};

use crate::support::{RunningProgram, TestCommand, TestProject, eventually};

pub struct RawClient {
    program: RunningProgram,
    /// Lines read so far.
    read: usize,
    next_id: u64,
    /// Responses that came before they were asked for.
    early: Vec<Value>,
}

impl RawClient {
    pub fn start(project: &TestProject) -> RawClient {
        RawClient::start_with(project, json!({}))
    }

    /// A client with these capabilities.
    pub fn start_with(project: &TestProject, capabilities: Value) -> RawClient {
        RawClient::start_command(project.devstack(["mcp"]), capabilities)
    }

    /// The client of this command's server, of a protocol that has no `initialize`: each request says
    /// what the client can do.
    pub fn start_newer(command: TestCommand) -> RawClient {
        let program = command.stdin().start();
        RawClient { program, read: 0, next_id: 100, early: Vec::new() }
    }

    /// The client of this command's server.
    pub fn start_command(command: TestCommand, capabilities: Value) -> RawClient {
        let mut client = RawClient::start_newer(command);
        let id = client.request(
            "initialize",
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": capabilities,
                "clientInfo": { "name": "test", "version": "1" },
            }),
        );
        let answer = client.response(&id);
        assert_eq!(answer["result"]["protocolVersion"], "2025-06-18", "{answer}");
        client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        client
    }

    pub fn send_line(&self, line: &[u8]) {
        self.program.write(line);
        self.program.write(b"\n");
    }

    pub fn send(&self, message: &Value) {
        self.send_line(message.to_string().as_bytes());
    }

    /// Sends a request; returns its id.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = json!(self.next_id);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    pub fn send_call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Calls a tool as the protocol of 2026-07-28 does. `more` are fields beside its arguments.
    #[track_caller]
    pub fn newer_call(&mut self, tool: &str, more: &Value) -> Value {
        let mut params = json!({
            "name": tool,
            "arguments": {},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "form": {} } },
            },
        });
        let fields = more.as_object().cloned().unwrap_or_default();
        params.as_object_mut().expect("an object").extend(fields);
        let id = self.request("tools/call", params);
        let message = self.response(&id);
        assert!(message["result"].is_object(), "{message}");
        message["result"].clone()
    }

    /// The next message. Everything on stdout must be one.
    #[track_caller]
    pub fn next(&mut self) -> Value {
        let at = self.read;
        let line = eventually("a message of the server", || {
            let output = self.program.stdout();
            let whole = output.rfind('\n').map_or("", |end| &output[..end]);
            whole.lines().nth(at).map(str::to_owned)
        });
        self.read += 1;
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:.200}"));
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        message
    }

    #[track_caller]
    pub fn response(&mut self, id: &Value) -> Value {
        if let Some(at) = self.early.iter().position(|message| message["id"] == *id) {
            return self.early.remove(at);
        }
        loop {
            let message = self.next();
            if message["id"] == *id {
                return message;
            }
            self.early.push(message);
        }
    }

    #[track_caller]
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.send_call(tool, arguments);
        let message = self.response(&id);
        assert!(message["result"].is_object(), "{message}");
        message["result"].clone()
    }

    /// The data of a successful call.
    #[track_caller]
    pub fn data(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], json!(true), "{result}");
        result["structuredContent"].clone()
    }

    /// The text of a successful call.
    #[track_caller]
    pub fn text(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], json!(true), "{result}");
        result["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Calls until the text is accepted.
    #[track_caller]
    pub fn until(&mut self, tool: &str, arguments: Value, accept: impl Fn(&str) -> bool) -> String {
        eventually("an accepted answer", || {
            Some(self.text(tool, arguments.clone())).filter(|text| accept(text))
        })
    }

    /// The text of a call that fails.
    #[track_caller]
    pub fn failure(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], json!(true), "{result}");
        result["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Ends stdin; the server must exit on its own.
    #[track_caller]
    pub fn end(self) {
        self.end_after(b"");
    }

    /// The same after a part of a line.
    #[track_caller]
    pub fn end_after(self, torn: &[u8]) {
        self.program.write(torn);
        self.program.close_stdin();
        assert_eq!(self.program.wait_code(), 0, "{}", self.program.stderr());
    }
}
