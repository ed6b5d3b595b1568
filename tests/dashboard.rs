//! `devstack dashboard`: access, answers, and the page in a browser.

#[path = "dashboard/browser.rs"]
mod browser;
#[path = "dashboard/door.rs"]
mod door;
#[path = "dashboard/routes.rs"]
mod routes;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::{
    HttpReply, RunningProgram, TestCommand, TestProject, free_port, http_raw, wait_limit,
};

/// A stack with its dashboard on a port of its own.
pub struct Board {
    pub project: TestProject,
    pub up: RunningProgram,
    pub dashboard: RunningProgram,
    pub place: Place,
    /// Names the stack.
    pub id: String,
}

/// Where a dashboard is, and its token.
pub struct Place {
    pub port: u16,
    pub host: String,
    pub token: String,
}

impl Place {
    /// Reads what `devstack dashboard` prints. Also returns the stack in it.
    #[track_caller]
    pub fn of(url: &str) -> (Place, String) {
        let (origin, rest) = url.trim().split_once("/#token=").expect("a link with a token");
        let (token, id) = rest.split_once("&stack=").unwrap_or((rest, ""));
        let host = origin.strip_prefix("http://").expect("plain HTTP").to_owned();
        let port = host.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        (Place { port, host, token: token.to_owned() }, id.to_owned())
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Sends a request with these header lines, and no others.
    #[track_caller]
    pub fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> HttpReply {
        let mut text = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let reply = http_raw(self.port, text.as_bytes()).expect("a connection");
        reply.unwrap_or_else(|| panic!("no reply to {line} {headers:?}"))
    }

    /// Asks as the page does.
    #[track_caller]
    pub fn get(&self, path: &str) -> HttpReply {
        let bearer = format!("Bearer {}", self.token);
        let headers =
            [("Host", &*self.host), ("Authorization", &bearer), ("Sec-Fetch-Site", "same-origin")];
        self.send(&format!("GET {path}"), &headers, "")
    }

    /// Acts as the page does.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> HttpReply {
        let (bearer, origin) = (format!("Bearer {}", self.token), self.origin());
        let headers = [
            ("Host", &*self.host),
            ("Authorization", &bearer),
            ("Origin", &origin),
            ("Content-Type", "application/json"),
        ];
        self.send(&format!("POST {path}"), &headers, &body.to_string())
    }

    /// Opens a stream; nothing of it is read yet.
    pub fn open(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a dashboard");
        stream.set_read_timeout(Some(wait_limit())).expect("a time limit");
        let (host, token) = (&self.host, &self.token);
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("it reads");
        stream
    }
}

/// Reads a stream until all of these texts have come.
#[track_caller]
pub fn read_until(stream: &mut TcpStream, texts: &[&str]) -> String {
    let (mut all, mut part) = (Vec::new(), [0; 16 << 10]);
    loop {
        let text = String::from_utf8_lossy(&all);
        if texts.iter().all(|wanted| text.contains(wanted)) {
            return text.into_owned();
        }
        match stream.read(&mut part) {
            Ok(length) if length > 0 => all.extend(&part[..length]),
            end => panic!("{end:?} instead of {texts:?} after:\n{text}"),
        }
    }
}

impl Board {
    #[track_caller]
    pub fn new(config: &str) -> Board {
        let project = TestProject::with_config(config);
        let up = without_names(project.devstack(["up"])).start();
        up.wait_for("is up");
        let port = free_port().to_string();
        let dashboard = project.devstack(["dashboard", "--no-open", "--port", &port]).start();
        let url = dashboard.wait_for("/#token=");
        let (place, id) = Place::of(&url);
        Board { project, up, dashboard, place, id }
    }

    /// Returns the path of a request about the stack.
    pub fn path(&self, name: &str, more: &str) -> String {
        format!("/api/{name}?stack={}{more}", self.id)
    }

    #[track_caller]
    pub fn finish(self) {
        self.up.end();
        self.finish_stopped();
    }

    /// Ends the test after the end of the stack.
    #[track_caller]
    pub fn finish_stopped(self) {
        self.dashboard.interrupt();
        assert_eq!(self.dashboard.wait_code(), 130);
        self.project.finish();
    }
}

pub fn without_names(command: TestCommand) -> TestCommand {
    command.env("DEVSTACK_PROXY", "off")
}
