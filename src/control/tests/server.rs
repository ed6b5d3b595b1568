//! What the server responds, and what it survives.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::fake::{Rig, line, name, plan, print, snapshot, until_readers};
use crate::control::server::ServerLimits;
use crate::control::{ClientError, WaitUpdate};
use crate::model::{Message, MessageClass, Snapshot, WaitCondition, WhyView};
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
async fn wait_answers_for_its_condition() {
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
async fn a_client_that_sends_more_than_its_request_and_goes_is_forgotten() {
    let rig = Rig::within(quick());
    let wait = request("POST", "/v1/wait", r#"{"services": ["worker"]}"#);
    let much = "x".repeat(10 * ServerLimits::BUFFER);
    let next = request("GET", "/v1/version", "");
    for (with_it, later) in [("x", ""), ("", "x"), ("x", "x"), (next.as_str(), &next), ("", &much)]
    {
        let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
        stream.write_all(format!("{wait}{with_it}").as_bytes()).await.unwrap();
        while rig.asked.lock().unwrap().pop().is_none() {
            tokio::task::yield_now().await;
        }
        // Of too much, not everything is read.
        let _ = stream.write_all(later.as_bytes()).await;
        drop(stream);
        rig.gone.notified().await;
    }
}

#[tokio::test]
async fn a_wait_takes_one_connection_and_shows_what_happens() {
    let all = ServerLimits { kept_brief: 0, kept_acting: 0, ..ServerLimits::of_this_user() };
    let one = ServerLimits { connections: 1, ..all };
    let rig = Rig::within(one);
    let wait = async |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        // The place of the client before is free once the server has noticed that it left.
        loop {
            match rig.client().wait(&names, WaitCondition::Ready).await {
                Ok(waits) => return waits,
                Err(error) => assert_eq!(error.message().class, MessageClass::Limit),
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(wait(&["api"]).await.answer().await, Ok("waited for api".to_owned()));
    let failed = Message::new(MessageClass::CrashLoop, "db crashes").help("see its log");
    assert_eq!(wait(&["db"]).await.answer().await, Err(ClientError::Refused(failed)));
    let unknown = wait(&["apu"]).await.answer().await;
    assert!(matches!(unknown, Err(ClientError::UnknownService(_))), "{unknown:?}");

    let mut waits = wait(&["worker"]).await;
    let WaitUpdate::Event(first) = waits.next().await else { panic!("ended") };
    let first: Value = serde_json::from_slice(&first).unwrap();
    assert_eq!(first["what"], "snapshot");
    // The only place is taken.
    let refused = rig.client().version().await.unwrap_err().to_string();
    let own = std::process::id();
    assert!(
        refused.contains(&format!("too many clients: 1, 1 of them from pid {own}")),
        "{refused}"
    );
    drop(waits);
    rig.gone.notified().await;
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
async fn version_names_devstack_and_protocol() {
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

/// Connects and asks for a stream; returns it with the status.
async fn follow(rig: &Rig, path: &str) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    // The server may close before it has read everything.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    (stream, String::from_utf8_lossy(&status).into_owned())
}

#[tokio::test]
async fn clients_that_stay_do_not_keep_out_short_requests() {
    let limits = ServerLimits::of_this_user();
    let rig = Rig::within(ServerLimits { lasting_per_process: 300, ..limits });
    let mut clients = Vec::new();
    for number in 0..300 {
        let (stream, status) = follow(&rig, "/v1/logs?last=0&follow=true").await;
        assert_eq!(status, if number < 192 { "HTTP/1.1 200" } else { "HTTP/1.1 503" });
        clients.push(stream);
    }
    until_readers(&rig.logs, 192).await;
    let (status, refused) = ask_json(&rig, "POST", "/v1/wait", "").await;
    let pid = std::process::id();
    assert_eq!(status, 503);
    assert_eq!(
        refused["error"]["text"].as_str().unwrap().split_once(", ").unwrap().1,
        format!("{} of them from pid {pid}", 193)
    );
    for path in ["/v1/stack", "/v1/version", "/v1/plan", "/v1/why?service=api"] {
        assert_eq!(ask(&rig, "GET", path, "").await.0, 200, "{path}");
    }
    clients.truncate(192);
    clients.pop();
    until_readers(&rig.logs, 191).await;
    assert_eq!(follow(&rig, "/v1/events").await.1, "HTTP/1.1 200");
    assert_eq!(ask(&rig, "POST", "/v1/down", "").await.0, 200);
}

/// Streams that begin again and again, some of them unread, and clients that send nothing, half a
/// request, or nothing after a response that they do not read.
#[tokio::test]
async fn no_flood_of_clients_keeps_out_those_that_look_and_stop() {
    let few = ServerLimits { kept_brief: 8, kept_acting: 8, ..ServerLimits::of_this_user() };
    let rig = Rig::within(ServerLimits { connections: 40, ..few });
    let mut clients = Vec::new();
    for round in 0..3 {
        for number in 0..40 {
            let path = if number % 2 == 0 { "/v1/events" } else { "/v1/logs?follow=true" };
            let (stream, status) = follow(&rig, path).await;
            let new = round == 0 && number < 24;
            assert_eq!(status, if new { "HTTP/1.1 200" } else { "HTTP/1.1 503" }, "{number}");
            clients.push(stream);
        }
        for head in ["", "GET /v1/st", "POST /v1/stop HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"] {
            for _ in 0..20 {
                let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
                // It may have had to make room already.
                let _ = stream.write_all(head.as_bytes()).await;
                clients.push(stream);
            }
        }
        for _ in 0..20 {
            let (stream, status) = follow(&rig, "/v1/stack").await;
            assert_eq!(status, "HTTP/1.1 200");
            clients.push(stream);
        }
        // All attackers are still connected, and their places are taken.
        assert_eq!(ask(&rig, "GET", "/v1/stack", "").await.0, 200);
        assert_eq!(ask(&rig, "POST", "/v1/stop", r#"{"services": ["api"]}"#).await.0, 200);
        assert_eq!(rig.client().stack().await.unwrap(), snapshot());
    }
    assert_eq!(rig.logs.reader_count(), 12);
    assert_eq!(ask(&rig, "POST", "/v1/down", "").await.0, 200);
    drop(clients);
}

#[tokio::test]
async fn an_idle_stream_makes_room_for_another() {
    let at_once = ServerLimits { idle_time: Duration::ZERO, ..ServerLimits::of_this_user() };
    let rig = Rig::within(ServerLimits { lasting_per_process: 300, ..at_once });
    let (first, _) = follow(&rig, "/v1/events").await;
    let mut clients = Vec::new();
    for _ in 0..192 {
        let (stream, status) = follow(&rig, "/v1/logs?last=0&follow=true").await;
        assert_eq!(status, "HTTP/1.1 200");
        clients.push(stream);
    }
    // It ends in the middle, unlike the streams of a stack that has stopped.
    assert!(!rest(first).await.ends_with("0\r\n\r\n"));
    until_readers(&rig.logs, 192).await;
    drop(clients);
    until_readers(&rig.logs, 0).await;
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
async fn slow_client_delays_no_other() {
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
