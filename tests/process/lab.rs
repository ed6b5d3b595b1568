use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use devstack::model::{
    CommandLine, LaunchConfig, Message, OutputStream, ProcessExit, RunId, TtyMode,
};
use devstack::process::{
    GuardHandle, ListenFd, OutputSink, ProcessManager, RunChange, RunHandle, RunInputs, RunReport,
};
use tokio::sync::{Notify, mpsc};

/// When nothing happens for so long, something hangs. Far above anything that is expected.
const HANG: Duration = Duration::from_secs(60);

/// A place to start processes.
pub struct Lab {
    pub guard: u32,
    pub processes: ProcessManager,
    facts: mpsc::UnboundedReceiver<RunReport>,
    early: VecDeque<RunReport>,
    next: u64,
    /// Whether what is started gets a terminal.
    pub tty: TtyMode,
    pub dir: tempfile::TempDir,
    /// What was reported of each run so far, to check the order.
    told: BTreeMap<RunId, Vec<&'static str>>,
}

/// A run and its output.
pub struct Started {
    pub run: RunId,
    pub handle: RunHandle,
    pub heard: Heard,
}

/// What a service printed.
#[derive(Clone, Default)]
pub struct Heard(Arc<(Mutex<Text>, Notify)>);

#[derive(Default)]
struct Text {
    out: Vec<u8>,
    err: Vec<u8>,
    closed: u32,
}

impl OutputSink for Heard {
    fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        let mut text = self.0.0.lock().expect("nobody panics with it");
        match stream {
            OutputStream::Stdout => text.out.extend(bytes),
            OutputStream::Stderr => text.err.extend(bytes),
        }
        self.0.1.notify_one();
    }

    fn closed(&mut self, _exit: Option<ProcessExit>) {
        self.0.0.lock().expect("nobody panics with it").closed += 1;
        self.0.1.notify_one();
    }
}

impl Heard {
    /// Waits until so many lines were printed to stdout, and gives them.
    pub async fn lines(&self, count: usize) -> Vec<String> {
        let wait = async {
            loop {
                let text = self.out();
                if text.matches('\n').count() >= count {
                    return text.lines().map(str::to_owned).collect();
                }
                self.0.1.notified().await;
            }
        };
        soon(wait).await
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().expect("nobody panics with it").out).into_owned()
    }

    pub fn sizes(&self) -> (usize, usize) {
        let text = self.0.0.lock().expect("nobody panics with it");
        (text.out.len(), text.err.len())
    }

    pub fn closed(&self) -> u32 {
        self.0.0.lock().expect("nobody panics with it").closed
    }
}

/// The value of a future that must come.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future).await.expect("nothing hangs")
}

/// Waits for something that sends no event.
pub async fn eventually(holds: impl Fn() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Forks a guard, then runs `body` in a runtime, as devstack does.
pub fn lab<F: Future<Output = ()>>(body: impl FnOnce(Lab) -> F) {
    lab_with(guard(), body);
}

/// Forks a guard.
pub fn guard() -> GuardHandle {
    let guard = match crate::keepers::per_run() {
        true => GuardHandle::start_without_marks(),
        false => GuardHandle::start(|_| {}),
    };
    guard.expect("a process can be forked")
}

/// The same with a guard that is there already.
pub fn lab_with<F: Future<Output = ()>>(guard: GuardHandle, body: impl FnOnce(Lab) -> F) {
    let pid = guard.pid();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (tell, facts) = mpsc::unbounded_channel();
        let processes = ProcessManager::new(guard, tell, false).expect("a socket");
        let dir = tempfile::tempdir().expect("a directory");
        let (early, told) = (VecDeque::new(), BTreeMap::new());
        let tty = TtyMode::No;
        body(Lab { guard: pid, processes, facts, early, next: 0, tty, dir, told }).await;
    });
}

impl Lab {
    pub fn launch(&self, command: CommandLine) -> LaunchConfig {
        let dir = self.dir.path().to_owned();
        LaunchConfig {
            command,
            container: None,
            dir,
            env: Default::default(),
            host: "127.0.0.1".to_owned(),
            requires: None,
        }
    }

    /// Starts a script, with a shell that stays.
    pub fn script(&mut self, script: &str) -> Started {
        let words = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        self.start(&self.launch(CommandLine::exec(words)))
    }

    pub fn start(&mut self, launch: &LaunchConfig) -> Started {
        let heard = Heard::default();
        let (run, handle) = self.start_with(launch, heard.clone());
        Started { run, handle, heard }
    }

    pub fn start_with(
        &mut self,
        launch: &LaunchConfig,
        sink: impl OutputSink,
    ) -> (RunId, RunHandle) {
        self.next += 1;
        let run = RunId(self.next);
        (run, self.spawn(run, launch, self.tty, Vec::new(), sink))
    }

    /// Starts a run with these sockets.
    pub fn spawn(
        &self,
        run: RunId,
        launch: &LaunchConfig,
        tty: TtyMode,
        handed: Vec<ListenFd>,
        sink: impl OutputSink,
    ) -> RunHandle {
        let reserved = self.processes.reserve(run, launch);
        let handle = reserved.handle().clone();
        let inputs = RunInputs { tty, handed, epilogue: None };
        self.processes.start_reserved(reserved, launch, inputs, sink);
        handle
    }

    /// The next fact about a run.
    pub async fn fact(&mut self, run: RunId) -> RunChange {
        if let Some(at) = self.early.iter().position(|fact| fact.run == run) {
            return self.early.remove(at).expect("just found").what;
        }
        loop {
            let fact = soon(self.facts.recv()).await.expect("the tasks live");
            self.check(&fact);
            if fact.run == run {
                return fact.what;
            }
            self.early.push_back(fact);
        }
    }

    /// The order of facts is promised.
    fn check(&mut self, fact: &RunReport) {
        let name = match fact.what {
            RunChange::Spawned { .. } => "spawned",
            RunChange::SpawnFailed(_) => "not spawned",
            RunChange::Exited(_) => "exited",
            RunChange::TreeEmpty { .. } => "emptied",
        };
        let told = self.told.entry(fact.run).or_default();
        told.push(name);
        let whole = [&["spawned", "exited", "emptied"][..], &["not spawned", "emptied"]];
        assert!(whole.iter().any(|whole| whole.starts_with(told)), "{}: {told:?}", fact.run);
    }

    pub async fn spawned(&mut self, run: RunId) -> u32 {
        match self.fact(run).await {
            RunChange::Spawned { pid } => pid,
            other => panic!("not spawned: {other:?}"),
        }
    }

    pub async fn exited(&mut self, run: RunId) -> ProcessExit {
        match self.fact(run).await {
            RunChange::Exited(exit) => exit,
            other => panic!("not exited: {other:?}"),
        }
    }

    pub async fn emptied(&mut self, run: RunId) -> Vec<(u32, String)> {
        match self.fact(run).await {
            RunChange::TreeEmpty { orphans: leftovers } => leftovers,
            other => panic!("not emptied: {other:?}"),
        }
    }

    /// From start to end.
    pub async fn whole(&mut self, run: RunId) -> ProcessExit {
        self.spawned(run).await;
        let exit = self.exited(run).await;
        assert!(self.emptied(run).await.is_empty());
        exit
    }

    /// Why it could not be started.
    pub async fn refused(&mut self, run: RunId) -> Message {
        let RunChange::SpawnFailed(why) = self.fact(run).await else { panic!("it was started") };
        assert!(!why.help.is_empty(), "{why:?}");
        assert!(self.emptied(run).await.is_empty());
        why
    }

    /// The end of a run that is started already.
    pub async fn whole_end(&mut self, run: RunId) -> ProcessExit {
        let exit = self.exited(run).await;
        self.emptied(run).await;
        exit
    }

    /// Ends everything; nothing may be left.
    pub async fn finish(self) {
        assert!(soon(self.processes.shut_down()).await, "it is proved that nothing is left");
        // The guard and the keepers are not waited for, and end by themselves.
        eventually(|| children(std::process::id()).is_empty()).await;
    }
}

/// The children of a process, dead ones too.
pub fn children(pid: u32) -> Vec<u32> {
    let list =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}
