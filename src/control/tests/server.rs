//! What the server responds, and what it survives.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::fake::{Rig, line, name, plan, print, snapshot, until_readers};
use crate::control::server::ServerLimits;
use crate::model::{Snapshot, WaitCondition, WhyView};
use crate::supervisor::ControlRequest;

/// Sends bytes and reads everything until the server closes.
async fn raw(rig: &Rig, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    rest(stream).await
}

async fn rest(mut stream: UnixStream) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Sends one request; returns the status and the body.
async fn ask(rig: &Rig, method: &str, path: &str, body: &str) -> (u16, String) {
    let text = raw(rig, request(method, path, body).as_bytes()).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\ndevstack-protocol: 1"), "{head}");
    (head[9..12].parse().unwrap(), body.to_owned())
}

async fn ask_json(rig: &Rig, method: &str, path: &str, body: &str) -> (u16, Value) {
    let (status, body) = ask(rig, method, path, body).await;
    (status, serde_json::from_str(&body).unwrap())
}

fn quick() -> ServerLimits {
    let brief = Duration::from_millis(50);
    ServerLimits {
        head_time: brief,
        body_time: brief,
        close_time: brief,
        ..ServerLimits::of_this_user()
    }
}

#[tokio::test]
async fn the_plan_is_answered_as_programs_know_it() {
    let rig = Rig::new();
    let (status, body) = ask(&rig, "GET", "/v1/plan", "").await;
    assert_eq!((status, body), (200, serde_json::to_string(&plan()).unwrap() + "\n"));
    assert_eq!(rig.client().plan().await.unwrap(), plan());
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan()).unwrap());
    assert_eq!(ask(&rig, "POST", "/v1/plan", "").await.0, 405);
}

#[tokio::test]
async fn the_stack_is_answered_as_programs_know_it() {
    let rig = Rig::new();
    let (status, body) = ask(&rig, "GET", "/v1/stack", "").await;
    assert_eq!(status, 200);
    assert_eq!(body, serde_json::to_string(&snapshot()).unwrap() + "\n");
    assert_eq!(serde_json::from_str::<Snapshot>(&body).unwrap(), snapshot());
    insta::assert_snapshot!(serde_json::to_string_pretty(&snapshot()).unwrap());
    rig.close().await;
}

#[tokio::test]
async fn why_is_answered_as_programs_know_it() {
    let rig = Rig::new();
    let (status, body) = ask(&rig, "GET", "/v1/why?service=api", "").await;
    assert_eq!(status, 200);
    let mut why: WhyView = serde_json::from_str(&body).unwrap();
    assert_eq!(serde_json::to_string(&why).unwrap() + "\n", body);
    // The lines come from the log.
    assert_eq!(why.log, [1, 2, 3].map(|number| line("api", number)));
    why.log = super::fake::why().log;
    assert_eq!(why, super::fake::why());
    insta::assert_snapshot!(serde_json::to_string_pretty(&why).unwrap());
    for (path, status) in [
        ("/v1/why", 400),
        ("/v1/why?service=apu", 404),
        ("/v1/why?name=api", 400),
        ("/v1/why?service=api&service=db", 400),
    ] {
        assert_eq!(ask(&rig, "GET", path, "").await.0, status, "{path}");
    }
    assert_eq!(ask(&rig, "POST", "/v1/why?service=api", "").await.0, 405);
}

#[tokio::test]
async fn services_are_started_stopped_and_restarted() {
    let rig = Rig::new();
    for (verb, reported) in [("start", "started"), ("stop", "stopped"), ("restart", "restarted")] {
        let path = format!("/v1/{verb}");
        let (status, body) =
            ask_json(&rig, "POST", &path, r#"{"services": ["api", "migrate", "api"]}"#).await;
        assert_eq!((status, body), (200, json!({"text": format!("{reported} api, migrate")})));
    }
    let both = || vec![name("api"), name("migrate")];
    let asked = [
        ControlRequest::Start(both()),
        ControlRequest::Stop(both()),
        ControlRequest::Restart(both()),
    ];
    assert_eq!(*rig.asked.lock().unwrap(), asked);
}

#[tokio::test]
async fn a_request_that_does_not_take_effect_says_why() {
    let rig = Rig::new();
    let (status, body) = ask_json(&rig, "POST", "/v1/start", r#"{"services":["db"]}"#).await;
    let error = json!({"class": "crash-loop", "text": "db crashes", "help": "see its log"});
    assert_eq!((status, body), (409, json!({ "error": error })));
}

#[tokio::test]
async fn an_unknown_service_is_not_asked_for() {
    let rig = Rig::new();
    let (status, body) = ask_json(&rig, "POST", "/v1/stop", r#"{"services":["Wroker"]}"#).await;
    assert_eq!(status, 404);
    assert_eq!(body["error"]["help"], "did you mean `worker`?");
    let (status, body) = ask_json(&rig, "GET", "/v1/logs?service=zzz", "").await;
    assert_eq!(status, 404);
    assert_eq!(body["error"]["help"], "available services: api, db, migrate, worker");
    assert!(rig.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_waits_is_answered_and_says_what_for() {
    let rig = Rig::new();
    let wait = |names: &[&str], until| ControlRequest::Wait {
        names: names.iter().map(|one| name(one)).collect(),
        until,
    };
    for (body, asked) in [
        ("", wait(&[], WaitCondition::Up)),
        ("{}", wait(&[], WaitCondition::Up)),
        (r#"{"for": "stopped"}"#, wait(&[], WaitCondition::Stopped)),
        (r#"{"services": ["api", "api"], "for": "ready"}"#, wait(&["api"], WaitCondition::Ready)),
        (
            r#"{"services": ["migrate"], "for": "completed"}"#,
            wait(&["migrate"], WaitCondition::Completed),
        ),
    ] {
        let (status, _) = ask_json(&rig, "POST", "/v1/wait", body).await;
        assert_eq!((status, rig.asked.lock().unwrap().pop()), (200, Some(asked)), "{body}");
    }
    for (body, wanted) in [
        (r#"{"for": "lunch"}"#, 400),
        ("[]x", 400),
        (r#"{"services": ["apu"]}"#, 404),
        (r#"{"services": ["db"]}"#, 409),
    ] {
        assert_eq!(ask_json(&rig, "POST", "/v1/wait", body).await.0, wanted, "{body}");
    }
}

#[tokio::test]
async fn a_client_that_goes_while_it_waits_is_forgotten() {
    let rig = Rig::new();
    let body = r#"{"services": ["worker"]}"#;
    for _ in 0..100 {
        let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
        stream.write_all(request("POST", "/v1/wait", body).as_bytes()).await.unwrap();
        while rig.asked.lock().unwrap().pop().is_none() {
            tokio::task::yield_now().await;
        }
        drop(stream);
        rig.gone.notified().await;
    }
    // An answered request is not reported as abandoned.
    assert_eq!(ask(&rig, "POST", "/v1/start", r#"{"services": ["api"]}"#).await.0, 200);
    let none = tokio::time::timeout(Duration::ZERO, rig.gone.notified()).await;
    assert!(none.is_err());
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let rig = Rig::new();
    let deep = "[".repeat(100_000);
    for (method, path, body, expected) in [
        ("GET", "/", "", 404),
        ("GET", "/v1/stack/", "", 404),
        ("POST", "/v1/stack", "", 405),
        ("GET", "/v1/down", "", 405),
        ("DELETE", "/v1/logs", "", 405),
        ("POST", "/v1/start", "", 400),
        ("POST", "/v1/start", "{}", 400),
        ("POST", "/v1/start", r#"{"services":[]}"#, 400),
        ("POST", "/v1/start", r#"{"services":["../x"]}"#, 404),
        ("POST", "/v1/start", r#"{"services":"api"}"#, 400),
        ("POST", "/v1/start", "\0\u{ffff}", 400),
        ("POST", "/v1/start", &deep, 400),
        ("GET", "/v1/logs?last=many", "", 400),
        ("GET", "/v1/logs?colour=red", "", 400),
    ] {
        let (status, body) = ask_json(&rig, method, path, body).await;
        assert_eq!(status, expected, "{method} {path}");
        assert_ne!(body["error"]["text"], "", "{method} {path}");
    }
    assert!(rig.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_version_is_told() {
    let rig = Rig::new();
    let (status, body) = ask_json(&rig, "GET", "/v1/version", "").await;
    assert_eq!(status, 200);
    assert_eq!(body, json!({"version": env!("CARGO_PKG_VERSION"), "protocol": 1}));
}

#[tokio::test]
async fn down_is_answered_although_the_server_closes() {
    for _ in 0..20 {
        let mut rig = Rig::new();
        let (status, body) = ask_json(&rig, "POST", "/v1/down", "").await;
        assert_eq!((status, body), (200, json!({"text": "everything is stopped"})));
        (&mut rig.server).await.unwrap().unwrap();
        assert!(UnixStream::connect(&rig.socket).await.is_err());
    }
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let rig = Rig::new();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let heads = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(9);
    let noise: Vec<u8> =
        (0..60_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for bytes in [
        &b"\r\n\r\n\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/stop HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/stop HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST /v1/stop HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nabc",
        b"POST /v1/stop HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        long.as_bytes(),
        heads.as_bytes(),
        &tls,
        &noise,
    ] {
        let answer = raw(&rig, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(ask(&rig, "GET", "/v1/stack", "").await.0, 200);
}

#[tokio::test]
async fn half_a_request_is_given_up() {
    let rig = Rig::within(quick());
    for bytes in [&b""[..], b"GET /v1/st", b"GET /v1/stack HTTP/1.1\r\nhost: x\r\n"] {
        let answer = raw(&rig, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let late = raw(&rig, b"POST /v1/stop HTTP/1.1\r\ncontent-length: 9\r\n\r\n{").await;
    assert!(late.starts_with("HTTP/1.1 408"), "{late}");
    // A client that sends one request and then nothing is not kept either.
    let idle = raw(&rig, b"GET /v1/version HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(idle.starts_with("HTTP/1.1 200"), "{idle}");
}

#[tokio::test]
async fn long_bodies_are_refused_unread() {
    let rig = Rig::new();
    let gigabyte = "POST /v1/stop HTTP/1.1\r\nhost: x\r\ncontent-length: 1073741824\r\n\r\n{";
    let answer = raw(&rig, gigabyte.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let small = ServerLimits { body: 1000, ..ServerLimits::of_this_user() };
    let rig = Rig::within(small);
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1024));
    let chunked = format!("POST /v1/stop HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{chunk}");
    let answer = raw(&rig, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn three_hundred_clients_at_once() {
    let rig = Rig::new();
    let mut clients = Vec::new();
    for _ in 0..300 {
        let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
        let _ =
            stream.write_all(b"GET /v1/logs?last=0&follow=true HTTP/1.1\r\nhost: x\r\n\r\n").await;
        clients.push(stream);
    }
    let mut answers = std::collections::BTreeMap::new();
    for stream in &mut clients {
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        *answers.entry(String::from_utf8_lossy(&head).into_owned()).or_insert(0) += 1;
    }
    assert_eq!(answers["HTTP/1.1 200"], 256);
    assert_eq!(answers["HTTP/1.1 503"], 44);
    until_readers(&rig.logs, 256).await;
    drop(clients);
    until_readers(&rig.logs, 0).await;
    assert_eq!(ask(&rig, "GET", "/v1/stack", "").await.0, 200);
}

#[tokio::test]
async fn others_are_not_let_in() {
    let limits = ServerLimits::of_this_user();
    let rig = Rig::within(ServerLimits { uid: limits.uid + 1, ..limits });
    let (status, body) = ask_json(&rig, "POST", "/v1/down", "").await;
    assert_eq!(status, 403);
    assert_eq!(body["error"]["class"], "denied");
    assert!(rig.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn logs_are_one_object_a_line() {
    let rig = Rig::new();
    let (status, body) = ask(&rig, "GET", "/v1/logs?service=db&last=2", "").await;
    assert_eq!(status, 200);
    // The length of a stream is unknown, so it is sent in chunks.
    let objects: Vec<&str> = body.split("\r\n").filter(|part| part.starts_with('{')).collect();
    let lines: Vec<Value> =
        objects.concat().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&Value> = lines.iter().map(|object| &object["line"]).collect();
    assert_eq!(texts, [&line("db", 2), &line("db", 3)]);
    until_readers(&rig.logs, 0).await;
}

#[tokio::test]
async fn a_client_that_vanishes_frees_its_reader() {
    let rig = Rig::new();
    for round in 0..1_000 {
        let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
        stream.write_all(b"GET /v1/logs?follow=true HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        until_readers(&rig.logs, 1).await;
        if round % 2 == 0 {
            stream.read_exact(&mut [0; 12]).await.unwrap();
        }
        drop(stream);
        until_readers(&rig.logs, 0).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let rig = Rig::within(quick());
    let mut stuck = UnixStream::connect(&rig.socket).await.unwrap();
    stuck.write_all(b"GET /v1/logs?follow=true HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until_readers(&rig.logs, 1).await;
    let long = "x".repeat(100_000);
    for _ in 0..20 {
        print(&rig.logs, "api", &long);
        assert_eq!(ask(&rig, "GET", "/v1/version", "").await.0, 200);
    }
    // Closing waits for it, but not for long.
    rig.close().await;
    drop(stuck);
}

#[tokio::test]
async fn a_followed_log_ends_whole_when_the_server_closes() {
    let mut rig = Rig::new();
    let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
    stream.write_all(b"GET /v1/logs?last=0&follow=true HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until_readers(&rig.logs, 1).await;
    print(&rig.logs, "api", &line("api", 99));
    rig.start_to_close();
    let text = rest(stream).await;
    assert!(text.contains("line 99 of api"), "{text}");
    assert!(text.ends_with("0\r\n\r\n"), "{text}");
    (&mut rig.server).await.unwrap().unwrap();
}
