//! A stack for tests: a fake supervisor behind a real [`SupervisorHandle`], a log, and a server on a
//! real socket.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::control::ControlClient;
use crate::control::server::{ReservedFds, ServerLimits, serve_within};
use crate::log::{LogOutput, LogStyle, StackLog};
use crate::model::{
    BlockedOn, ChangeAction, Condition, Dependency, ExitClass, FailingProbe, FileTrigger, Message,
    MessageClass, Name, NextStep, OutputStream, PastRun, Phase, Plan, PlanView, PortStatus,
    ProbePurpose, ProcessExit, RunId, ServiceChange, ServiceKindView, ServiceView, Snapshot,
    StackState, WhyView,
};
use crate::supervisor::feed::EventFeed;
use crate::supervisor::{AttachReply, ControlRequest, SupervisorHandle, SupervisorRequest};
use crate::terminal::ServiceTerminal;

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Returns a stack with one service of each interesting kind.
pub fn snapshot() -> Snapshot {
    let moved =
        Message::new(MessageClass::Port, "port 5000 is in use by python3 (pid 77); using 5001");
    let api = ServiceView {
        cause: "GET /health returned 200".to_owned(),
        pid: Some(4121),
        run: Some(RunId(3)),
        restarts: 2,
        port: Some(5001),
        wanted_port: Some(5000),
        wanted_ports: BTreeMap::from([("main".to_owned(), 5000)]),
        ports: BTreeMap::from([("main".to_owned(), 5001)]),
        url: Some("http://127.0.0.1:5001".to_owned()),
        cpu_percent: Some(0.3),
        memory_bytes: Some(41_000_000),
        ready_after_ms: Some(412),
        message: Some(moved.help("run `devstack ports 5000` for details")),
        ..ServiceView::sample("api", Phase::Ready)
    };
    let db = ServiceView {
        cause: "SIGKILL".to_owned(),
        run: Some(RunId(1)),
        exit: Some(ProcessExit::Signal(9)),
        ..ServiceView::sample("db", Phase::Failed)
    };
    let migrate = ServiceView {
        kind: ServiceKindView::Task,
        cause: "exit 0".to_owned(),
        exit: Some(ProcessExit::Code(0)),
        ..ServiceView::sample("migrate", Phase::Done)
    };
    let worker = ServiceView {
        cause: "waiting for db (ready)".to_owned(),
        depends_on: Vec::new(),
        waiting_on: vec![Dependency { service: name("db"), condition: Condition::Ready }],
        ..ServiceView::sample("worker", Phase::Waiting)
    };
    Snapshot {
        supervisor_pid: 4100,
        primary: Some(name("api")),
        state: StackState::Degraded,
        ..Snapshot::sample("shop", "/home/me/shop", vec![api, db, migrate, worker])
    }
}

/// Returns what the files of that stack would change.
pub fn plan() -> PlanView {
    let change = |service, action, because| ServiceChange::new(name(service), action, because);
    let api = ServiceChange {
        fields: vec!["command".to_owned(), "env".to_owned()],
        variables: vec!["TOKEN".to_owned()],
        ports: BTreeMap::from([("main".to_owned(), 5001)]),
        preferred_ports: BTreeMap::from([("main".to_owned(), 5000)]),
        moved: vec!["port 5000 is in use by python3 (pid 77)".to_owned()],
        waits_for: vec![Dependency { service: name("db"), condition: Condition::Ready }],
        ..change("api", ChangeAction::Restart, "command changed, env changed: TOKEN")
    };
    let web = change("web", ChangeAction::Rename, "renamed from front");
    PlanView {
        version: 1,
        stack: "shop".to_owned(),
        dir: PathBuf::from("/home/me/shop"),
        running: true,
        live: false,
        plan: Plan {
            changes: vec![
                change("mail", ChangeAction::Remove, "removed"),
                api,
                ServiceChange { renamed_from: Some(name("front")), ..web },
            ],
            unchanged: vec![name("db")],
        },
        notes: Vec::new(),
    }
}

/// Returns the explanation of a service of that stack, with every field set.
pub fn why() -> WhyView {
    let at = |second: u32| format!("2026-11-20T09:00:{second:02}.120Z");
    let end = |start: u32, exit, by, lived_ms| PastRun {
        run: RunId(u64::from(start) + 4),
        start,
        at: at(8),
        exit,
        lived_ms,
        by,
        note: None,
    };
    let message = Message::new(MessageClass::CrashLoop, "exited 8 times within 2m; last: exit 1");
    let port = |name: &str, wanted, given, moved: Option<&str>| PortStatus {
        name: name.to_owned(),
        wanted,
        given,
        pinned: false,
        moved: moved.map(str::to_owned),
        listens: Some(moved.is_none()),
    };
    WhyView {
        version: 1,
        stack: "shop".to_owned(),
        at: at(12),
        service: ServiceView {
            cause: "exit 1; attempt 3 in 4s".to_owned(),
            message: Some(message.help("run `devstack restart api`")),
            listening: Some(vec!["127.0.0.1:7000".parse().unwrap()]),
            ..ServiceView::sample("api", Phase::Backoff)
        },
        next: NextStep { text: "attempt 3".to_owned(), in_ms: Some(3200) },
        waits: vec![BlockedOn {
            service: name("db"),
            condition: Some(Condition::Ready),
            phase: Phase::Failed,
            cause: "SIGKILL".to_owned(),
        }],
        exits: vec![
            end(2, ProcessExit::Code(1), ExitClass::Unexpected, Some(1_200)),
            end(1, ProcessExit::Signal(15), ExitClass::Us, Some(61_000)),
        ],
        probe: Some(FailingProbe {
            probe: ProbePurpose::Ready,
            text: "`check` failed (exit 3): no table\nno luck".to_owned(),
        }),
        trigger: Some(FileTrigger {
            at: at(4),
            path: "/home/me/shop/api/app.py".to_owned(),
            action: "restart".to_owned(),
        }),
        ports: vec![
            port("main", Some(5000), 5001, Some("port 5000 is in use by python3 (pid 77)")),
            port("metrics", None, 9100, None),
        ],
        log: vec!["Traceback (most recent call last):".to_owned(), "KeyError".to_owned()],
    }
}

/// What the service `service` prints first.
pub fn line(service: &str, number: u64) -> String {
    format!("line {number} of {service}")
}

/// Opens a log in `dir` that is only stored.
pub fn stored_log(dir: &Path) -> StackLog {
    StackLog::open(dir, LogStyle::new(false), LogOutput::None)
}

/// Stores lines of a run that has ended.
pub fn print(log: &StackLog, service: &str, lines: &str) {
    let (mut capture, _) = log.capture(&name(service), RunId(1), Vec::new());
    capture.push(OutputStream::Stdout, format!("{lines}\n").as_bytes());
}

/// Waits until the log has exactly `count` readers.
pub async fn until_readers(log: &StackLog, count: usize) {
    while log.reader_count() != count {
        tokio::task::yield_now().await;
    }
}

/// A server on a real socket with a fake supervisor.
pub struct Rig {
    pub socket: PathBuf,
    /// The log, with three lines of `api` and of `db`.
    pub logs: StackLog,
    pub feed: Arc<EventFeed>,
    pub asked: Arc<Mutex<Vec<ControlRequest>>>,
    /// Releases the responses for the service `slow`.
    pub gate: Arc<Notify>,
    pub console: Arc<ServiceTerminal>,
    /// Signals that a client with a pending request has gone.
    pub gone: Arc<Notify>,
    pub server: JoinHandle<io::Result<()>>,
    close: Option<oneshot::Sender<()>>,
    _dir: TempDir,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::within(ServerLimits::of_this_user())
    }

    pub fn within(limits: ServerLimits) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        Rig::on(listener, socket, dir, limits)
    }

    pub fn on(listener: UnixListener, socket: PathBuf, dir: TempDir, limits: ServerLimits) -> Rig {
        let (requests, inbox) = mpsc::unbounded_channel();
        let feed = Arc::new(EventFeed::new());
        let logs = stored_log(&dir.path().join("logs"));
        for number in 1..=3 {
            print(&logs, "api", &line("api", number));
            print(&logs, "db", &line("db", number));
        }
        let handle = SupervisorHandle::new(requests, logs.clone(), feed.subscribe());
        let (asked, gate, gone) = (Arc::default(), Arc::default(), Arc::default());
        let console: Arc<ServiceTerminal> = Arc::default();
        let (stopped, is_stopped) = oneshot::channel();
        let heard = (Arc::clone(&asked), Arc::clone(&feed));
        let doors = (Arc::clone(&gate), Arc::clone(&gone));
        tokio::spawn(supervisor(inbox, heard, doors, console.clone(), stopped));
        let (close, closes) = oneshot::channel();
        let shutdown = async move {
            tokio::select! {
                _ = closes => {}
                // Only after an answered `down`, not when the supervisor was dropped.
                Ok(()) = is_stopped => {}
            }
        };
        let server =
            tokio::spawn(serve_within(limits, ReservedFds::default(), listener, handle, shutdown));
        let close = Some(close);
        Rig { socket, logs, feed, asked, gate, gone, console, server, close, _dir: dir }
    }

    pub fn client(&self) -> ControlClient {
        ControlClient::at(&self.socket)
    }

    pub async fn close(mut self) {
        let _ = self.close.take().unwrap().send(());
        (&mut self.server).await.unwrap().unwrap();
    }

    pub fn start_to_close(&mut self) {
        let _ = self.close.take().unwrap().send(());
    }
}

async fn supervisor(
    mut inbox: mpsc::UnboundedReceiver<SupervisorRequest>,
    (asked, feed): (Arc<Mutex<Vec<ControlRequest>>>, Arc<EventFeed>),
    (gate, gone): (Arc<Notify>, Arc<Notify>),
    console: Arc<ServiceTerminal>,
    stopped: oneshot::Sender<()>,
) {
    let mut stopped = Some(stopped);
    let mut unanswered = Vec::new();
    while let Some(ask) = inbox.recv().await {
        let (request, tell) = match ask {
            SupervisorRequest::Control(request, tell) => (request, tell),
            SupervisorRequest::Snapshot(tell) => {
                let _ = tell.send(Arc::new(Snapshot { event: feed.newest(), ..snapshot() }));
                continue;
            }
            SupervisorRequest::Attach(name, screen, tell) => {
                let seat = console.attach(screen.size);
                let run = console.run();
                let cause = format!("{name} is well");
                let _ = tell.send(Ok(AttachReply { seat, run, cause }));
                continue;
            }
            SupervisorRequest::Why(name, tell) => {
                let mut why = why();
                why.service.name = name;
                let _ = tell.send(Some(why));
                continue;
            }
            SupervisorRequest::ClientLeft => {
                gone.notify_one();
                continue;
            }
            SupervisorRequest::SnapshotWithUsage(tell) => {
                let _ = tell.send((Arc::new(snapshot()), Vec::new()));
                continue;
            }
            SupervisorRequest::Plan(tell) => {
                let _ = tell.send(Ok(plan()));
                continue;
            }
            SupervisorRequest::Names(_) | SupervisorRequest::Wake(_) => continue,
            // These need more than the fake has.
            SupervisorRequest::RunAction(..) | SupervisorRequest::StopAction(..) => continue,
            SupervisorRequest::EnvInputs(_, tell) => {
                let _ = tell.send(None);
                continue;
            }
        };
        asked.lock().unwrap().push(request.clone());
        let (verb, names) = match request {
            ControlRequest::Start(names) => ("started", names),
            ControlRequest::Stop(names) => ("stopped", names),
            ControlRequest::Restart(names) => ("restarted", names),
            ControlRequest::Debug { names, on: true } => ("debugged", names),
            ControlRequest::Debug { names, on: false } => ("undebugged", names),
            ControlRequest::Wait { names, until: _ } if names.contains(&name("worker")) => {
                unanswered.push(tell);
                continue;
            }
            ControlRequest::Wait { names, until: _ } => ("waited for", names),
            ControlRequest::Down => {
                // The server closes at the moment the response is known.
                let _ = tell.send(Ok("everything is stopped".to_owned()));
                let _ = stopped.take().map(|stopped| stopped.send(()));
                continue;
            }
        };
        if names.contains(&name("worker")) {
            gate.notified().await;
        }
        let answer = match names.contains(&name("db")) {
            true => Err(Message::new(MessageClass::CrashLoop, "db crashes").help("see its log")),
            false => Ok(format!(
                "{verb} {}",
                names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
            )),
        };
        let _ = tell.send(answer);
    }
}
