//! The events that the server sends, and clients that misbehave.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::fake::{Rig, name, plan};
use crate::model::{
    Cause, CommandLine, Condition, Dependency, Event, EventKind, EventView, Message, MessageClass,
    Phase, ProcessExit, RunId,
};

const AT: &str = "2026-11-20T09:00:00.120Z";

fn all_kinds() -> Vec<Event> {
    let api = |what| Event { service: Some(name("api")), what };
    let stack = |what| Event { service: None, what };
    let make = CommandLine::Exec(vec!["make".into(), "all".into()]);
    let path = PathBuf::from("/home/me/shop/a\n.rs");
    let needs = vec![Dependency { service: name("db"), condition: Condition::Ready }];
    let moved =
        Message::new(MessageClass::Port, "port 5000 is in use by python3 (pid 77); using 5001");
    vec![
        api(EventKind::Phase {
            from: None,
            to: Phase::Waiting,
            cause: Cause::WaitingFor(needs),
            run: None,
        }),
        api(EventKind::Phase {
            from: Some(Phase::Starting),
            to: Phase::Ready,
            cause: Cause::ProbePassed("GET /health returned 200".into()),
            run: Some(RunId(3)),
        }),
        api(EventKind::Ended { run: RunId(3), exit: ProcessExit::Code(1), unexpected: true }),
        api(EventKind::Ended { run: RunId(4), exit: ProcessExit::Signal(15), unexpected: false }),
        api(EventKind::BuildStarted { command: make.clone(), path: path.clone() }),
        api(EventKind::Built { command: make, took: Duration::from_millis(1200) }),
        api(EventKind::Signalled { signal: 1, path }),
        api(EventKind::Note(moved.help("run `devstack ports 5000` for details"))),
        api(EventKind::DebuggerListening("attach debugpy at 127.0.0.1:5678".into())),
        stack(EventKind::Settled { well: true }),
        stack(EventKind::Settled { well: false }),
        api(EventKind::ServiceRemoved),
        stack(EventKind::Applied(plan().plan)),
        stack(EventKind::ShuttingDown("SIGINT".into())),
    ]
}

async fn follow(rig: &Rig) -> UnixStream {
    let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    stream
}

#[tokio::test]
async fn events_are_one_object_a_line_and_a_snapshot_comes_first() {
    let rig = Rig::new();
    let events = all_kinds();
    let mut lines = rig.client().events().await.unwrap();
    let mut got = lines.next().await.unwrap().expect("a snapshot");
    events.iter().for_each(|event| rig.feed.publish(AT.to_owned(), event));
    while got.len() < events.len() + 1 {
        got.extend(lines.next().await.unwrap().expect("more lines"));
    }
    let first: Value = serde_json::from_slice(&got[0]).unwrap();
    assert_eq!((&first["what"], &first["number"]), (&"snapshot".into(), &0.into()));
    assert_eq!(first["stack"], serde_json::to_value(super::fake::snapshot()).unwrap());
    for (line, number) in got[1..].iter().zip(1..) {
        let view: EventView = serde_json::from_slice(line).unwrap();
        assert_eq!((view.number, view.at.as_str()), (number, AT));
        assert_eq!(serde_json::to_string(&view).unwrap().as_bytes(), line);
    }
    let text = got[1..].iter().map(|line| std::str::from_utf8(line).unwrap());
    insta::assert_snapshot!(text.collect::<Vec<_>>().join("\n"));
    rig.close().await;
    assert_eq!(lines.next().await, Ok(None), "they end when the server closes");
}

#[tokio::test]
async fn parameters_that_would_do_nothing_are_refused() {
    let rig = Rig::new();
    let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
    stream
        .write_all(b"GET /v1/events?service=api HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 400 ") && text.contains("no parameters"), "{text}");
}

/// More events than the ring and the socket hold: the sender is not blocked, and the client later
/// reads intact lines that report what is missing.
#[tokio::test]
async fn slow_client_learns_how_much_it_missed() {
    const EVENTS: u64 = 30_000;
    let rig = Rig::new();
    let mut lines = rig.client().events().await.unwrap();
    let stuck = follow(&rig).await;
    let first = lines.next().await.unwrap().expect("a snapshot");
    assert_eq!(first.len(), 1);
    let event = &all_kinds()[0];
    for number in 0..EVENTS {
        rig.feed.publish(AT.to_owned(), event);
        if number % 1000 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (mut next, mut missed) = (1, 0);
    while next <= EVENTS {
        for line in lines.next().await.unwrap().expect("more lines") {
            let line: Value = serde_json::from_slice(&line).unwrap();
            match line["what"].as_str().unwrap() {
                "missed" => {
                    missed += line["missed"].as_u64().unwrap();
                    next += line["missed"].as_u64().unwrap();
                }
                "snapshot" => assert_eq!(line["number"], next - 1),
                _ => {
                    assert_eq!(line["number"], next);
                    next += 1;
                }
            }
        }
    }
    assert!(missed > 0 && missed < EVENTS, "{missed} of {EVENTS}");
    drop(stuck);
    rig.close().await;
}

#[tokio::test]
async fn hundreds_of_readers_come_and_go() {
    let rig = Rig::new();
    for round in 0..5 {
        let mut readers = Vec::new();
        for _ in 0..100 {
            readers.push(follow(&rig).await);
        }
        rig.feed.publish(AT.to_owned(), &all_kinds()[1]);
        let number = format!("\"number\":{},", round + 1);
        for reader in &mut readers {
            let mut text = Vec::new();
            while !String::from_utf8_lossy(&text).contains(&number) {
                let count = reader.read_buf(&mut text).await.unwrap();
                assert!(count > 0, "{}", String::from_utf8_lossy(&text));
            }
        }
    }
    rig.close().await;
}
