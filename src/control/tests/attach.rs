//! Attached clients over a connection, with a terminal that has no process.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::fake::{Rig, name};
use crate::control::client::{AttachConnection, AttachMessage};
use crate::control::protocol::{AttachEvent, AttachQuery};
use crate::control::server::ServerLimits;
use crate::control::{ClientError, ControlClient};
use crate::model::{Message, MessageClass};
use crate::process::TermSize;
use crate::terminal::ClientScreen;

/// More than a view buffers.
const FLOOD: usize = 8 << 20;

fn query(service: &str) -> AttachQuery {
    let screen = ClientScreen { size: TermSize { rows: 24, columns: 80 }, terminal: None };
    AttachQuery { service: service.to_owned(), screen }
}

async fn attach(client: &ControlClient) -> AttachConnection {
    let mut attachment = client.attach(&query("api")).await.unwrap();
    let first = attachment.hears.next().await.unwrap().unwrap();
    let cause = "api is well".to_owned();
    assert_eq!(
        first,
        AttachMessage::Event(AttachEvent::Attached { service: name("api"), run: None, cause })
    );
    attachment
}

async fn hear(attachment: &mut AttachConnection) -> AttachMessage {
    attachment.hears.next().await.unwrap().unwrap()
}

async fn hear_until(attachment: &mut AttachConnection, end: &str) -> Vec<u8> {
    let mut all = Vec::new();
    while !all.ends_with(end.as_bytes()) {
        match hear(attachment).await {
            AttachMessage::Output(bytes) => all.extend_from_slice(&bytes),
            AttachMessage::Event(event) => panic!("{event:?}"),
        }
    }
    all
}

#[tokio::test]
async fn attached_clients_get_scrollback_and_new_output() {
    let rig = Rig::new();
    rig.console.push(b"one\r\n(Pdb) ");
    let mut first = attach(&rig.client()).await;
    let mut second = attach(&rig.client()).await;
    for attachment in [&mut first, &mut second] {
        hear_until(attachment, "(Pdb) ").await;
    }
    rig.console.push(b"n\r\n");
    for attachment in [&mut first, &mut second] {
        assert_eq!(hear_until(attachment, "\n").await, b"n\r\n");
    }
    rig.close().await;
    for mut attachment in [first, second] {
        let why = Message::new(MessageClass::NotRunning, "the stack has stopped");
        assert_eq!(hear(&mut attachment).await, AttachMessage::Event(AttachEvent::Closed { why }));
        assert_eq!(attachment.hears.next().await, Ok(None));
    }
}

#[tokio::test]
async fn the_last_output_comes_before_the_last_word() {
    let mut rig = Rig::new();
    let mut attachment = attach(&rig.client()).await;
    rig.console.push(b"last words");
    rig.start_to_close();
    hear_until(&mut attachment, "last words").await;
    assert!(matches!(
        hear(&mut attachment).await,
        AttachMessage::Event(AttachEvent::Closed { .. })
    ));
}

#[tokio::test]
async fn slow_client_learns_how_much_it_missed() {
    let rig = Rig::new();
    let mut slow = attach(&rig.client()).await;
    let mut quick = attach(&rig.client()).await;
    let line = b"a line of a flood that nobody reads in time\r\n";
    let mut sent = 0;
    while sent < FLOOD {
        rig.console.push(line);
        sent += line.len();
    }
    rig.console.push(b"(Pdb) ");
    sent += 6;
    // Neither client read meanwhile; each gets the exact number of missed bytes and the end.
    for attachment in [&mut quick, &mut slow] {
        let (mut read, mut missed, mut last) = (0, 0, Vec::new());
        while !last.ends_with(b"(Pdb) ") {
            match hear(attachment).await {
                AttachMessage::Output(bytes) => {
                    read += bytes.len();
                    last = bytes.to_vec();
                }
                AttachMessage::Event(AttachEvent::Missed { bytes }) => missed += bytes,
                AttachMessage::Event(event) => panic!("{event:?}"),
            }
        }
        assert_eq!(read as u64 + missed, sent as u64);
        assert!(missed > 0);
    }
}

#[tokio::test]
async fn a_client_that_never_reads_does_not_keep_the_server_open() {
    let brief = Duration::from_millis(50);
    let rig = Rig::within(ServerLimits { close_time: brief, ..ServerLimits::of_this_user() });
    let attachment = attach(&rig.client()).await;
    for _ in 0..FLOOD / 1024 {
        rig.console.push(&[b'x'; 1024]);
        tokio::task::yield_now().await;
    }
    rig.close().await;
    drop(attachment);
}

#[tokio::test]
async fn garbage_closes_the_attachment_with_an_error() {
    let rig = Rig::new();
    for garbage in [&b"\x00\x01\x02\x03\x04\x05"[..], b"i\xff\xff\xff\xff", b"o\0\0\0\x01x"] {
        let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
        let head = "GET /v1/attach?service=api HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: devstack-attach\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        let all = String::from_utf8_lossy(&all);
        assert!(all.starts_with("HTTP/1.1 101 "), "{all}");
        assert!(all.contains("devstack-protocol: 1\r\n"), "{all}");
        assert!(
            all.contains(r#"{"event":"closed","why":{"class":"usage","text":"invalid frame""#),
            "{all}"
        );
    }
    // Half a frame, then the client is gone.
    let mut half = attach(&rig.client()).await;
    half.says.send_keys(b"x");
    drop(half);
    rig.console.push(b"still here");
    hear_until(&mut attach(&rig.client()).await, "still here").await;
}

#[tokio::test]
async fn what_cannot_be_attached_to_is_refused() {
    let rig = Rig::new();
    let unknown = rig.client().attach(&query("apu")).await.err().unwrap();
    assert!(
        matches!(&unknown, ClientError::UnknownService(why) if why.help == "did you mean `api`?")
    );
    let odd = rig.client().attach(&query("../x y")).await.err().unwrap();
    assert!(matches!(odd, ClientError::UnknownService(_)), "{odd:?}");
    let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
    let plain = "GET /v1/attach?service=api HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(plain.as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert!(all.starts_with("HTTP/1.1 426 "), "{all}");
    assert!(all.contains("upgrade: devstack-attach\r\n"), "{all}");
}

#[tokio::test]
async fn attached_clients_count_among_the_connections() {
    let all = ServerLimits { kept_brief: 0, kept_acting: 0, ..ServerLimits::of_this_user() };
    let two = ServerLimits { connections: 2, ..all };
    let rig = Rig::within(two);
    let first = attach(&rig.client()).await;
    let second = attach(&rig.client()).await;
    let third = rig.client().attach(&query("api")).await.err().unwrap();
    assert_eq!(third.message().class, MessageClass::Limit);
    drop((first, second));
    // The server notices on its own.
    while rig.client().attach(&query("api")).await.is_err() {
        tokio::task::yield_now().await;
    }
}
