//! Clients that stay connected: they keep out neither short requests nor the end of the stack.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::support::{TestProject, eventually};

const STACK: &str = "[services.api]\ncommand = ['{misbehave}', 'run']\n";

#[test]
fn a_crowd_of_idle_clients_keeps_out_neither_ps_nor_down() {
    let project = TestProject::with_config(STACK);
    let up = project.devstack(["up"]).start();
    up.wait_for("api | ready");
    let socket = project.socket();
    let follow = |path: &str| {
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        // One that is refused may be closed before it has sent everything.
        let _ = stream.write_all(head.as_bytes());
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("an answer");
        (stream, String::from_utf8_lossy(&status).into_owned())
    };
    let crowd: Vec<_> = (0..256).map(|_| follow("/v1/events")).collect();
    let refused = crowd.iter().filter(|(_, status)| status == "HTTP/1.1 503").count();
    // One process gets its share. The rest is for others, who may wait and follow, too.
    assert_eq!(refused, 128);
    project.devstack(["wait", "api"]).run().expect_code(0);
    project.devstack(["logs", "api"]).run().expect_code(0);
    for short in [&["ps"][..], &["why", "api"], &["env", "api"], &["plan"]] {
        project.devstack(short).run().expect_code(0);
    }
    project.devstack(["down"]).run().expect_code(0);
    assert_eq!(up.wait_code(), 0);
    drop(crowd);
    project.finish();
}

#[test]
fn clients_that_send_nothing_keep_out_no_request() {
    let project = TestProject::with_config(STACK);
    let up = project.devstack(["up"]).start();
    up.wait_for("api | ready");
    let crowd: Vec<_> = (0..320).map(|_| UnixStream::connect(project.socket())).collect();
    for request in [&["ps"][..], &["restart", "api"], &["down"]] {
        project.devstack(request).run().expect_code(0);
    }
    assert_eq!(up.wait_code(), 0);
    drop(crowd);
    project.finish();
}

#[test]
fn a_wait_whose_client_sends_too_much_and_goes_is_forgotten() {
    let project = TestProject::with_config(STACK);
    let up = project.up();
    // What the first request needs stays open.
    project.ps();
    // Where the system shows them.
    let descriptors =
        || std::fs::read_dir(format!("/proc/{}/fd", up.pid())).map_or(0, Iterator::count);
    let before = descriptors();
    for _ in 0..20 {
        let mut client = UnixStream::connect(project.socket()).expect("it listens");
        let body = r#"{"services": ["api"], "for": "stopped"}"#;
        let length = body.len();
        let request =
            format!("POST /v1/wait HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}!");
        client.write_all(request.as_bytes()).expect("it listens");
    }
    eventually("the end of all connections", || (descriptors() <= before).then_some(()));
    project.end(&up);
}
