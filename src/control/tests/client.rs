//! The client against the server, and against processes that are no such server.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::fake::{Rig, line, name, print, snapshot};
use crate::control::instance::UserDirs;
use crate::control::server::ServerLimits;
use crate::control::{ClientError, ControlClient, InstanceLock, LineStream, LogQuery};
use crate::log::LogLine;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

async fn read(lines: &mut LineStream, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        for line in lines.next().await.unwrap().unwrap() {
            let line: LogLine = serde_json::from_slice(&line).unwrap();
            all.push(String::from_utf8(line.line).unwrap());
        }
    }
    all
}

#[tokio::test]
async fn asks_and_gets_answers() {
    let rig = Rig::new();
    let client = rig.client();
    assert_eq!(client.stack().await.unwrap(), snapshot());
    assert_eq!(client.version().await.unwrap().protocol, crate::control::PROTOCOL);
    assert_eq!(client.start(&names(&["api"])).await.unwrap(), "started api");
    assert_eq!(client.stop(&names(&["api"])).await.unwrap(), "stopped api");
    assert_eq!(
        client.restart(&names(&["api", "migrate"])).await.unwrap(),
        "restarted api, migrate"
    );
    assert_eq!(client.down().await.unwrap(), "everything is stopped");
    assert!(matches!(client.stack().await, Err(ClientError::NotRunning(_))));
}

#[tokio::test]
async fn an_answer_comes_when_it_took_effect() {
    let rig = Rig::new();
    let client = rig.client();
    let waits = tokio::spawn(async move { client.start(&names(&["worker"])).await });
    // Other requests are served meanwhile.
    rig.client().stack().await.unwrap();
    assert!(!waits.is_finished());
    rig.gate.notify_one();
    assert_eq!(waits.await.unwrap().unwrap(), "started worker");
}

#[tokio::test]
async fn failures_have_different_errors() {
    let rig = Rig::new();
    let client = rig.client();
    let failure = client.start(&names(&["apu"])).await.unwrap_err();
    assert!(
        matches!(&failure, ClientError::UnknownService(why) if why.help == "did you mean `api`?")
    );
    assert_eq!(failure.exit_code().0, 3);
    let failure = client.start(&names(&["db"])).await.unwrap_err();
    assert!(matches!(&failure, ClientError::Refused(why) if why.text == "db crashes"));
    assert_eq!(failure.exit_code().0, 1);
    let failure = client.start(&names(&["no such\nname"])).await.unwrap_err();
    assert_eq!(failure.message().text, "unknown service `no such\\nname` in stack shop");
    assert_eq!(client.start(&[]).await.unwrap_err().exit_code().0, 2);
    let query = LogQuery { services: vec![name("zzz")], ..LogQuery::default() };
    assert!(matches!(client.logs(&query).await.err(), Some(ClientError::UnknownService(_))));

    let limits = ServerLimits::of_this_user();
    let rig = Rig::within(ServerLimits { uid: limits.uid + 1, ..limits });
    assert!(matches!(rig.client().stack().await, Err(ClientError::Denied(_))));
    let rig = Rig::within(ServerLimits { connections: 0, ..limits });
    assert!(matches!(rig.client().stack().await, Err(ClientError::Refused(_))));
}

#[tokio::test]
async fn logs_follow_until_the_stack_ends() {
    let mut rig = Rig::new();
    let query = LogQuery {
        services: vec![name("api")],
        last: Some(1),
        follow: true,
        ..LogQuery::default()
    };
    let mut lines = rig.client().logs(&query).await.unwrap();
    assert_eq!(read(&mut lines, 1).await, [line("api", 3)]);
    print(&rig.logs, "db", &line("db", 4));
    print(&rig.logs, "api", &line("api", 4));
    let many: Vec<String> = (5..50_000).map(|number| line("api", number)).collect();
    print(&rig.logs, "api", &many.join("\n"));
    let all = read(&mut lines, 1 + many.len()).await;
    assert_eq!((&all[0], &all[1..]), (&line("api", 4), &many[..]));
    rig.start_to_close();
    assert!(lines.next().await.unwrap().is_none());
}

/// Sends the same bytes on every connection.
fn impostor(answer: &'static [u8]) -> (tempfile::TempDir, ControlClient) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    (dir, ControlClient::at(&socket))
}

#[tokio::test]
async fn another_protocol_is_named_and_down_works_all_the_same() {
    let answer = b"HTTP/1.1 200 OK\r\ndevstack-protocol: 7\r\ndevstack-version: 9.1.0\r\n\
        connection: close\r\ncontent-length: 16\r\n\r\n{\"text\": \"gone\"}";
    let (_dir, client) = impostor(answer);
    let failure = client.stack().await.unwrap_err();
    assert!(matches!(&failure, ClientError::ProtocolMismatch(why) if why.text.contains("9.1.0")));
    assert_eq!(failure.exit_code().0, 2);
    assert!(matches!(client.stop(&names(&["api"])).await, Err(ClientError::ProtocolMismatch(_))));
    assert_eq!(client.down().await.unwrap(), "gone");
}

#[tokio::test]
async fn what_is_no_devstack_is_no_panic() {
    let cut = b"HTTP/1.1 200 OK\r\ndevstack-protocol: 1\r\ncontent-length: 90\r\n\r\n{\"version\"";
    let odd = b"HTTP/1.1 200 OK\r\ndevstack-protocol: 1\r\ncontent-length: 2\r\n\r\n{}";
    for answer in [&b""[..], b"hello\n", b"SSH-2.0-x\r\n\r\n", cut, odd, b"HTTP/1.1 500 x\r\n\r\n"]
    {
        let (_dir, client) = impostor(answer);
        assert!(client.stack().await.is_err());
        assert!(client.stop(&names(&["api"])).await.is_err());
    }
}

#[tokio::test]
async fn a_devstack_that_does_not_answer_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    // Listens but never accepts, like a process that was suspended with SIGSTOP.
    let _listener = UnixListener::bind(&socket).unwrap();
    let failure = ControlClient::at(&socket).down().await.unwrap_err();
    assert!(matches!(failure, ClientError::Busy(_)));
    assert_eq!(failure.exit_code().0, 4);
}

#[tokio::test]
async fn down_waits_until_the_directory_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("project");
    std::fs::create_dir(&project).unwrap();
    let places = UserDirs::new(ServerLimits::of_this_user().uid, None, None, dir.path().to_owned());
    let instance = InstanceLock::claim_in(&places, &project, "shop").unwrap();
    let listener = instance.listen().unwrap();
    let socket = instance.socket().to_owned();
    let mut rig = Rig::on(listener, socket, dir, ServerLimits::of_this_user());
    let client = ControlClient::of(InstanceLock::find_in(&places, &project).unwrap());
    let down = tokio::spawn(async move { client.down().await });
    (&mut rig.server).await.unwrap().unwrap();
    // The response is written and there was ample time to read it, but the lock is still held.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!down.is_finished());
    drop(instance);
    assert_eq!(down.await.unwrap().unwrap(), "everything is stopped");
    InstanceLock::claim_in(&places, &project, "shop").unwrap();
}
