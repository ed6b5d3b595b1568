//! Real sockets on loopback, with owners faked by the test.

mod answers;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use super::{
    ProbeCommandEnd, ProbeCommandOutput, ProbeContext, ProbeFinding, ProbeHandle, ProbeReport,
    start_readiness,
};
use crate::model::{
    AcceptedStatus, CommandLine, LaunchConfig, LaunchEnv, ListenAddress, MessageClass, Probe,
    ProcessExit, ReadyConfig, RunId,
};
use crate::ports::{ListenerOwner, PortHolder};

/// Long enough for any machine; a test that reaches it has failed.
const DEADLINE: Duration = Duration::from_secs(30);

const RUN: RunId = RunId(7);

struct ProbeFixture {
    owner: Arc<Mutex<ListenerOwner>>,
    listening: Arc<Mutex<Vec<ListenAddress>>>,
    reports: mpsc::UnboundedReceiver<ProbeReport>,
    probing: Option<ProbeHandle>,
}

impl ProbeFixture {
    fn new(owner: ListenerOwner, probes: Vec<Probe>) -> ProbeFixture {
        ProbeFixture::with_lines(owner, probes, Vec::new())
    }

    fn with_lines(
        owner: ListenerOwner,
        probes: Vec<Probe>,
        lines: Vec<oneshot::Receiver<String>>,
    ) -> ProbeFixture {
        let owner = Arc::new(Mutex::new(owner));
        let listening = Arc::new(Mutex::new(Vec::new()));
        let (tell, reports) = mpsc::unbounded_channel();
        let (whose, ports) = (owner.clone(), listening.clone());
        let sight = ProbeContext::new(
            || vec![42],
            move |_, tree| {
                assert_eq!(tree, [42]);
                whose.lock().unwrap().clone()
            },
            move |_| ports.lock().unwrap().clone(),
        );
        let sight = sight.trying(in_shell);
        let ready = ReadyConfig {
            probes,
            timeout: Duration::from_secs(60),
            interval: Duration::from_millis(20),
        };
        let launch = LaunchConfig {
            command: CommandLine::Shell("true".into()),
            container: None,
            dir: std::env::temp_dir(),
            env: LaunchEnv::default(),
            host: "127.0.0.1".into(),
            requires: None,
        };
        let probing = Some(start_readiness(RUN, &ready, &launch, sight, lines, tell));
        ProbeFixture { owner, listening, reports, probing }
    }

    async fn next(&mut self) -> ProbeFinding {
        let report = tokio::time::timeout(DEADLINE, self.reports.recv()).await;
        let report = report.expect("a report within the deadline").expect("probes are running");
        assert_eq!(report.run, RUN);
        report.what
    }

    async fn failing(&mut self) -> String {
        match self.next().await {
            ProbeFinding::Failed(why) => why,
            other => panic!("{other:?}"),
        }
    }

    /// Skips findings until `Ready`, and returns its text.
    async fn held(&mut self) -> String {
        loop {
            match self.next().await {
                ProbeFinding::Ready(what) => return what,
                ProbeFinding::Failed(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// No report follows: the task has ended.
    async fn end(mut self) {
        let rest = tokio::time::timeout(DEADLINE, self.reports.recv()).await;
        assert_eq!(rest.expect("ends in time"), None);
    }
}

/// Runs a probe command without a keeper.
pub(super) async fn in_shell(launch: LaunchConfig) -> ProbeCommandOutput {
    let words = match launch.command {
        CommandLine::Shell(text) => vec!["/bin/sh".to_owned(), "-c".to_owned(), text],
        CommandLine::Exec(words) => words.iter().map(|word| word.expose().to_owned()).collect(),
    };
    let run = move || {
        let mut command = std::process::Command::new(&words[0]);
        command.args(&words[1..]).current_dir(launch.dir).output()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let verdict = ProbeCommandEnd::Ended(ProcessExit::Code(output.status.code().unwrap()));
    ProbeCommandOutput { verdict, status: output.stdout }
}

fn listen(address: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Answers each connection with these bytes. Returns the address and a count of connections.
async fn server(answer: Vec<u8>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    (address, count)
}

fn http(address: SocketAddr) -> Probe {
    Probe::Http {
        url: format!("http://{address}/health"),
        status: AcceptedStatus::NoError,
        insecure: false,
        own_port: Some(address.port()),
    }
}

#[tokio::test]
async fn a_port_is_ready_when_its_own_listener_accepts() {
    let (listener, port) = listen("127.0.0.1:0");
    drop(listener);
    let mut scene = ProbeFixture::new(ListenerOwner::NotListening, vec![Probe::Tcp { port }]);
    assert_eq!(scene.failing().await, format!("nothing is listening on port {port} yet"));
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    *scene.owner.lock().unwrap() = ListenerOwner::Ours(Vec::new());
    assert_eq!(scene.held().await, format!("port {port} accepts connections"));
    scene.end().await;
}

#[tokio::test]
async fn any_address_of_the_own_machine_counts() {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        if address.contains("::") && TcpListener::bind("[::1]:0").is_err() {
            continue;
        }
        let (_listener, port) = listen(address);
        for owner in [ListenerOwner::Ours(Vec::new()), ListenerOwner::Unknown] {
            let mut scene = ProbeFixture::new(owner, vec![Probe::Tcp { port }]);
            assert_eq!(scene.held().await, format!("port {port} accepts connections"));
        }
    }
}

fn stranger() -> PortHolder {
    let name = Some("python3".to_owned());
    PortHolder { pid: Some(4121), name, same_user: true, ..PortHolder::hidden(None) }
}

#[tokio::test]
async fn foreign_listener_is_never_ready_and_reported_once() {
    let (address, connections) = server(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()).await;
    for probe in [Probe::Tcp { port: address.port() }, http(address)] {
        let who = ListenerOwner::Foreign(stranger());
        let mut scene = ProbeFixture::new(who, vec![probe]);
        let mut reported = (0, 0);
        while reported != (1, 1) {
            match scene.next().await {
                ProbeFinding::Failed(why) => {
                    assert!(why.contains("in use by python3 (pid 4121)"), "{why}");
                    reported.0 += 1;
                }
                ProbeFinding::ForeignListener(_, holder, message) => {
                    assert_eq!(message.class, MessageClass::Port);
                    assert_eq!(*holder, stranger());
                    assert!(!message.help.is_empty());
                    reported.1 += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(connections.swap(0, Ordering::SeqCst), 0, "strangers are not talked to");
        // The other process exits and the service gets its port: the next report is about that.
        *scene.owner.lock().unwrap() = ListenerOwner::Ours(Vec::new());
        assert!(matches!(scene.next().await, ProbeFinding::Ready(_)));
        connections.store(0, Ordering::SeqCst);
    }
}

fn at(ports: &[u16]) -> Vec<ListenAddress> {
    ports.iter().map(|port| ListenAddress::Tcp(([127, 0, 0, 1], *port).into())).collect()
}

#[tokio::test]
async fn listen_addresses_are_reported() {
    // Only its own listen address is tried: nothing accepts on the other loopback address.
    let (listener, port) = listen("127.0.0.1:0");
    let here = listener.local_addr().unwrap();
    let (address, _) = server(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()).await;
    for (here, probe) in [(here, Probe::Tcp { port }), (address, http(address))] {
        let mut scene = ProbeFixture::new(ListenerOwner::Ours(vec![here]), vec![probe]);
        assert_eq!(scene.next().await, ProbeFinding::ListeningOn(vec![ListenAddress::Tcp(here)]));
        assert!(matches!(scene.next().await, ProbeFinding::Ready(_)));
    }
}

#[tokio::test]
async fn wrong_port_is_reported_once() {
    let mut scene = ProbeFixture::new(ListenerOwner::NotListening, vec![Probe::Tcp { port: 5001 }]);
    *scene.listening.lock().unwrap() = at(&[5000, 9229]);
    scene.failing().await;
    let elsewhere = ProbeFinding::WrongPort { given: 5001, actual: at(&[5000, 9229]) };
    assert_eq!(scene.next().await, elsewhere);
    let (_listener, _) = listen("127.0.0.1:0");
    *scene.owner.lock().unwrap() = ListenerOwner::Foreign(stranger());
    assert!(matches!(scene.next().await, ProbeFinding::Failed(_)));
}

#[tokio::test]
async fn statuses_below_400_hold() {
    for (status, holds) in [
        (200, true),
        (204, true),
        (302, true),
        (308, true),
        (400, false),
        (404, false),
        (503, false),
    ] {
        let answer =
            format!("HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
        let (address, _) = server(answer.into_bytes()).await;
        let mut scene = ProbeFixture::new(ListenerOwner::Ours(Vec::new()), vec![http(address)]);
        let text = format!("GET /health returned {status}");
        if holds {
            assert_eq!(scene.held().await, text);
        } else {
            assert_eq!(scene.failing().await, text);
        }
    }
}

#[tokio::test]
async fn invalid_answers_have_different_reasons() {
    let bomb = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 1 << 20]].concat();
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(5000)).into_bytes();
    for (answer, expected) in [
        (b"".to_vec(), "got no response: the connection was closed"),
        (b"\x15\x03\x01\x00\x02\x02\x46".to_vec(), "TLS"),
        (b"<html>old</html>".to_vec(), "not HTTP/1: it begins with \"<html>old"),
        (b"\x00\xff\xfe garbage \r\n\r\n".to_vec(), "not HTTP/1"),
        (b"HTTP/1.1 200 OK\r\nContent-Le".to_vec(), "incomplete"),
        (bomb, "headers larger than 64 KiB"),
        (many, "headers larger than 64 KiB"),
    ] {
        let (address, _) = server(answer).await;
        let mut scene = ProbeFixture::new(ListenerOwner::Ours(Vec::new()), vec![http(address)]);
        let why = scene.failing().await;
        assert!(why.starts_with("GET /health ") && why.contains(expected), "{why}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_left_alone() {
    let endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stays = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&endless).await.unwrap();
        // The client must disconnect: the server never ends the body.
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all
    });
    let mut scene = ProbeFixture::new(ListenerOwner::Ours(Vec::new()), vec![http(address)]);
    assert_eq!(scene.held().await, "GET /health returned 200");
    let request = String::from_utf8(stays.await.unwrap()).unwrap();
    assert!(request.starts_with("GET /health HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {address}\r\n")), "{request}");

    let big =
        [b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n".to_vec(), vec![0; 10_000_000]];
    let (address, _) = server(big.concat()).await;
    let mut scene = ProbeFixture::new(ListenerOwner::Ours(Vec::new()), vec![http(address)]);
    assert_eq!(scene.held().await, "GET /health returned 200");
}

#[tokio::test]
async fn a_log_probe_holds_by_its_line_and_fails_with_its_log() {
    let pattern = || Probe::Log { pattern: "ready in .* ms".into() };
    let (tell, line) = oneshot::channel();
    let mut scene =
        ProbeFixture::with_lines(ListenerOwner::NotListening, vec![pattern()], vec![line]);
    assert_eq!(scene.failing().await, "no log line matches /ready in .* ms/ yet");
    tell.send("ready in 300 ms".into()).unwrap();
    assert_eq!(
        scene.next().await,
        ProbeFinding::Ready("a log line matched /ready in .* ms/".into())
    );

    let (tell, line) = oneshot::channel::<String>();
    let mut scene =
        ProbeFixture::with_lines(ListenerOwner::NotListening, vec![pattern()], vec![line]);
    drop(tell);
    while !scene.failing().await.contains("the output ended") {}
}

#[tokio::test]
async fn a_delay_holds_after_it() {
    let delay = Duration::from_millis(50);
    let begin = std::time::Instant::now();
    let mut scene = ProbeFixture::new(ListenerOwner::NotListening, vec![Probe::Delay { delay }]);
    assert_eq!(scene.failing().await, "has not been running for 50ms yet");
    assert_eq!(scene.next().await, ProbeFinding::Ready("has been running for 50ms".into()));
    assert!(begin.elapsed() >= delay);
    scene.end().await;
}

#[tokio::test]
async fn several_probes_must_all_have_held() {
    let (_listener, port) = listen("127.0.0.1:0");
    let (tell, line) = oneshot::channel();
    let probes = vec![
        Probe::Log { pattern: "up".into() },
        Probe::Exec {
            command: CommandLine::Exec(vec!["/bin/sh".into(), "-c".into(), "exit 0".into()]),
        },
        Probe::Tcp { port },
    ];
    let mut scene = ProbeFixture::with_lines(ListenerOwner::Ours(Vec::new()), probes, vec![line]);
    // Until only the log line is missing, reasons may come in any order.
    while scene.failing().await != "no log line matches /up/ yet" {}
    tell.send("up".into()).unwrap();
    let held = scene.held().await;
    let all = format!(
        "a log line matched /up/, `/bin/sh -c 'exit 0'` exited with code 0, port {port} accepts connections"
    );
    assert_eq!(held, all);
    scene.end().await;
}

#[tokio::test]
async fn no_probes_hold_at_once() {
    let mut scene = ProbeFixture::new(ListenerOwner::NotListening, vec![]);
    assert!(matches!(scene.next().await, ProbeFinding::Ready(_)));
    scene.end().await;
}

#[tokio::test]
async fn dropping_ends_it_without_a_word() {
    let (address, _) = server(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let mut scene = ProbeFixture::new(ListenerOwner::Ours(Vec::new()), vec![http(address)]);
    scene.failing().await;
    scene.probing = None;
    scene.end().await;
}
