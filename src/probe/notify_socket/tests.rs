use std::os::unix::net::UnixDatagram as Plain;
use std::time::Duration;

use super::*;

/// Long enough for any machine; a test that reaches it has failed.
const DEADLINE: Duration = Duration::from_secs(30);

async fn told(reported: oneshot::Receiver<String>) -> String {
    tokio::time::timeout(DEADLINE, reported).await.expect("in time").expect("socket open")
}

#[tokio::test]
async fn readiness_comes_once_and_blocks_no_sender() {
    let dir = tempfile::tempdir().unwrap();
    let mut notice = NotifySocket::open(dir.path()).unwrap();
    let socket = Plain::unbound().unwrap();
    let send = |text: &str| socket.send_to(text.as_bytes(), notice.path()).unwrap();
    // Before the socket is read.
    for text in ["", "STATUS=loading", "READY=0", "XREADY=1", "READY=1\0", "MAINPID=1\nREADY=10"] {
        send(text);
    }
    let path = notice.path().to_owned();
    let ready = notice.listen(|| vec![std::process::id()]);
    let client = tokio::task::spawn_blocking(move || {
        socket.send_to(b"STATUS=up and \x1brunning\nREADY=1\nMAINPID=7", &path).unwrap();
        // Far more than a socket queues: this would block if the socket were not read.
        for _ in 0..2000 {
            socket.send_to(b"WATCHDOG=1", &path).unwrap();
        }
    });
    assert_eq!(told(ready).await, "received READY=1 (up and running)");
    tokio::time::timeout(DEADLINE, client).await.unwrap().unwrap();
    // Later receivers get it too.
    assert_eq!(told(notice.listen(Vec::new)).await, "received READY=1 (up and running)");
    let path = notice.path().to_owned();
    drop(notice);
    assert!(!path.exists());
}

#[tokio::test]
async fn the_name_of_one_socket_says_nothing_about_another() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = [(); 2].map(|()| {
        let notice = NotifySocket::open(dir.path()).unwrap();
        let name = notice.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(supervisor_of(&name), Some(std::process::id()));
        u128::from_str_radix(name.split_once('-').unwrap().1, 32).unwrap()
    });
    // That of 128 random bits most are the same does not happen.
    assert!((secrets[0] ^ secrets[1]).count_ones() > 16);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn strangers_are_not_heard() {
    let dir = tempfile::tempdir().unwrap();
    let mut notice = NotifySocket::open(dir.path()).unwrap();
    let asked = std::sync::Arc::new(tokio::sync::Notify::new());
    let asks = asked.clone();
    let mut ready = notice.listen(move || {
        asks.notify_one();
        vec![1]
    });
    let socket = Plain::unbound().unwrap();
    socket.send_to(b"READY=1", notice.path()).unwrap();
    tokio::time::timeout(DEADLINE, asked.notified()).await.expect("checked in time");
    tokio::task::yield_now().await;
    assert!(ready.try_recv().is_err());
    // A sender that has exited is accepted.
    let script = "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); \
                  s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])";
    let mut python = std::process::Command::new("python3");
    if let Ok(status) = python.args(["-c", script]).env(NOTIFY_SOCKET, notice.path()).status() {
        assert!(status.success());
        assert_eq!(told(ready).await, "received READY=1");
    }
}

#[test]
fn only_the_sockets_of_the_dead_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let dead = format!("n{}-12", child.id());
    let secret = format!("n{}-{}", child.id(), random_name().unwrap());
    let own = format!("n{}-12", std::process::id());
    for name in [dead.as_str(), &secret, &own, "n1-1", "nobody-1", "n-1", "n999999999-x", "ports"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    NotifySocket::remove_stale(dir.path());
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    let mut expected = vec![own.as_str(), "n1-1", "nobody-1", "n-1", "n999999999-x", "ports"];
    expected.sort_unstable();
    assert_eq!(left, expected);
}

/// `sd_notify_barrier`: the sender waits until the descriptor that it sent is closed.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn descriptors_that_are_sent_are_closed() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix};
    use std::os::fd::AsFd;
    use tokio::io::AsyncReadExt;
    let dir = tempfile::tempdir().unwrap();
    let mut notice = NotifySocket::open(dir.path()).unwrap();
    let _ready = notice.listen(Vec::new);
    let (read, write) = std::io::pipe().unwrap();
    let socket = Plain::unbound().unwrap();
    let rights = [write.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&rights));
    let to = SocketAddrUnix::new(notice.path()).unwrap();
    let parts = [std::io::IoSlice::new(b"BARRIER=1")];
    rustix::net::sendmsg_addr(&socket, &to, &parts, &mut control, SendFlags::empty()).unwrap();
    drop(write);
    let mut read = tokio::net::unix::pipe::Receiver::from_owned_fd(read.into()).unwrap();
    let end = tokio::time::timeout(DEADLINE, read.read_u8()).await.expect("closed in time");
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
