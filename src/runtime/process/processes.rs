use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::aside::Aside;
use super::environment::Environment;
use super::fact::{Fact, Sink, What};
use super::guard::Guard;
use super::handed::{Handed, MAX_HANDED};
use super::leash::{Leash, Pids};
use super::ledger::Ledger;
use super::life::{Life, Told, tell};
use super::line::Line;
use super::link::Link;
use super::outlet::Outlet;
use super::prepared::{Prepared, prepare};
use super::source::Source;
use super::steady::wait_for;
use super::terminal::{Size, Terminal, Terminals};
use super::wire::{ENDS, Order};
use super::{refusal, stopper, strays};
use crate::model::{LaunchConfig, Message, OutputStream, RunId, TtyMode};

/// How long killed trees may take to disappear at the end. SIGKILL takes milliseconds; what is
/// stuck in the kernel for longer is left to the guard.
const LAST_RUNS: Duration = Duration::from_secs(5);
/// How long the guard may take to exit once it has no keepers.
const LAST_GUARD: Duration = Duration::from_secs(2);

/// Starts processes and reports what happens to them.
#[derive(Debug)]
pub struct Processes {
    link: Arc<Link>,
    facts: mpsc::UnboundedSender<Fact>,
    environment: Arc<Environment>,
    /// How many one-shot commands were started; they are numbered down from the largest run number.
    asides: AtomicU64,
    terminals: Terminals,
    on_terminal: bool,
    token: String,
}

impl Processes {
    /// Must be called inside a runtime with I/O and time. Services inherit the environment this
    /// process has now. `color`: devstack writes to a terminal with colors.
    ///
    /// # Errors
    /// The system's error when the guard's socket cannot be registered with the runtime.
    pub fn new(
        guard: Guard,
        facts: mpsc::UnboundedSender<Fact>,
        color: bool,
    ) -> io::Result<Processes> {
        let link = Arc::new(Link::new(guard.socket, guard.pid));
        let listening = link.listen()?;
        tokio::spawn(link.clone().serve(listening));
        let token = token()?;
        let environment = Environment::new(std::env::vars_os(), color, token.clone());
        let environment = Arc::new(environment);
        let (asides, terminals) = (AtomicU64::new(0), Terminals::default());
        Ok(Processes { link, facts, environment, asides, terminals, on_terminal: false, token })
    }

    /// Records live runs in this file, for `clean_up` after a crash. `shut_down` removes it unless
    /// a process is left. Must be called before the first spawn.
    pub fn record_in(self, file: &Path) -> Processes {
        self.link.record(Ledger::open(file, self.token.clone(), self.link.guard()));
        self
    }

    /// Returns the value of `DEVSTACK_RUN` that marks every process of this stack.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// devstack's log goes to a terminal, so services with `tty = "auto"` get a pty.
    pub fn on_terminal(self) -> Processes {
        Processes { on_terminal: true, ..self }
    }

    /// Returns what services inherit.
    pub fn environment(&self) -> Arc<Environment> {
        self.environment.clone()
    }

    /// Resizes the ptys of all services; 0 means unknown. The default is 24 rows and 80 columns.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.terminals.resize(Size { rows, columns });
    }

    /// Starts a run. Never blocks and never fails: its run reports follow, the last of them
    /// `TreeEmpty`. A run number must not be reused. Output to a pty arrives as stdout.
    pub fn spawn(&self, run: RunId, launch: &LaunchConfig, tty: TtyMode, sink: impl Sink) -> Leash {
        self.spawn_with(run, launch, tty, Vec::new(), sink)
    }

    /// Like `spawn`, for a program that is passed sockets, at most 64: as descriptors from 3 on,
    /// described by `LISTEN_FDS` and so on as in sd_listen_fds(3). No other process inherits them.
    pub fn spawn_with(
        &self,
        run: RunId,
        launch: &LaunchConfig,
        tty: TtyMode,
        handed: Vec<Handed>,
        sink: impl Sink,
    ) -> Leash {
        self.start(&self.facts, run, launch, tty, handed, sink)
    }

    /// Reports a run that cannot even be tried as one that failed to start for this reason.
    pub fn refuse(&self, run: RunId, why: Message, sink: impl Sink) -> Leash {
        not_started(&self.facts, run, why, sink)
    }

    fn start(
        &self,
        facts: &mpsc::UnboundedSender<Fact>,
        run: RunId,
        launch: &LaunchConfig,
        tty: TtyMode,
        handed: Vec<Handed>,
        mut sink: impl Sink,
    ) -> Leash {
        match self.begin(facts, run, launch, tty, handed, &mut sink) {
            Ok(life) => {
                let (line, pids) = (Some(life.line.clone()), life.pids.clone());
                let leash = Leash { line, pids, stopper: life.stopper.clone() };
                tokio::spawn(life.live(sink));
                leash
            }
            Err(why) => not_started(facts, run, why, sink),
        }
    }

    /// Starts a command that is not a run of a service, such as a probe.
    pub fn aside(&self, launch: &LaunchConfig, sink: impl Sink) -> Aside {
        let (leash, facts) = self.start_aside(launch, sink);
        Aside { leash, facts }
    }

    /// Starts a short command that is not a run of a service. It is kept, ended and proved gone
    /// like one, but its reports go only to the caller.
    fn start_aside(
        &self,
        launch: &LaunchConfig,
        sink: impl Sink,
    ) -> (Leash, mpsc::UnboundedReceiver<Fact>) {
        let (tell, facts) = mpsc::unbounded_channel();
        let run = RunId(u64::MAX - self.asides.fetch_add(1, Ordering::Relaxed));
        (self.start(&tell, run, launch, TtyMode::No, Vec::new(), sink), facts)
    }

    /// Stops a run with a command, which gets the main pid in `MAINPID` and has a tree of its own.
    /// The run lasts at least as long as the command; killing the run kills both. If the command
    /// fails, reports the error and stops the run with the signal `otherwise`.
    pub fn stop_by(
        &self,
        leash: &Leash,
        launch: &LaunchConfig,
        otherwise: i32,
        sink: impl Sink,
        tell: impl FnOnce(Message) + Send + 'static,
    ) {
        let Some(main) = leash.main() else { return leash.stop(otherwise) };
        let Some(place) = leash.stopper.reserve() else { return };
        if let Some(line) = &leash.line {
            line.order(Order::Told);
        }
        let mut launch = launch.clone();
        launch.env.insert("MAINPID".to_owned(), main.to_string());
        let (command, facts) = self.start_aside(&launch, sink);
        place.fill(command);
        let leash = leash.clone();
        tokio::spawn(async move {
            if let Some(why) = stopper::outcome(facts).await
                && !leash.stopper.was_killed()
            {
                tell(refusal::stop_failed(&launch.command, &why, otherwise));
                leash.stop(otherwise);
            }
            drop(place);
        });
    }

    fn begin(
        &self,
        facts: &mpsc::UnboundedSender<Fact>,
        run: RunId,
        launch: &LaunchConfig,
        tty: TtyMode,
        handed: Vec<Handed>,
        sink: &mut impl Sink,
    ) -> Result<Life, Message> {
        let terminal = self.terminal(tty)?;
        let Prepared { parcel, program, dir } =
            prepare(launch, &self.environment, terminal.is_some(), &handed)?;
        // Before the process exists, so that the pty has its size when the program reads it.
        sink.begins(terminal.as_ref());
        let ends = Ends::open(terminal).map_err(|error| refusal::no_means("pipes", &error))?;
        let line = Arc::new(Line::new(ends.socket.get_ref().clone()));
        let pids = Arc::new(Pids::default());
        let sockets = handed.into_iter().map(|handed| handed.socket).take(MAX_HANDED);
        let keeper = ends.keeper.into_iter().chain(sockets).collect();
        let lost = self.ask(run, keeper, &line, &pids).ok_or_else(refusal::no_guard)?;
        line.launch(parcel);
        Ok(Life {
            run,
            facts: facts.clone(),
            link: self.link.clone(),
            line,
            pids,
            stopper: Arc::default(),
            socket: ends.socket,
            outlets: ends.outlets,
            lost,
            program,
            dir,
            inbox: Vec::new(),
            told: Told::Nothing,
        })
    }

    /// Whether services with this `tty` setting get a pty.
    pub fn gives_terminal(&self, tty: TtyMode) -> bool {
        match tty {
            TtyMode::Yes => true,
            TtyMode::Auto => self.on_terminal,
            TtyMode::No => false,
        }
    }

    fn terminal(&self, tty: TtyMode) -> Result<Option<Arc<Terminal>>, Message> {
        match tty {
            TtyMode::Yes => {
                let terminal = self.terminals.open();
                terminal.map(Some).map_err(|error| refusal::no_means("a terminal", &error))
            }
            TtyMode::Auto if self.on_terminal => {
                let complain =
                    |error: &io::Error| tracing::debug!("cannot open a terminal: {error}");
                Ok(self.terminals.open().inspect_err(complain).ok())
            }
            TtyMode::Auto | TtyMode::No => Ok(None),
        }
    }

    fn ask(
        &self,
        run: RunId,
        ends: Vec<OwnedFd>,
        line: &Arc<Line>,
        pids: &Arc<Pids>,
    ) -> Option<oneshot::Receiver<()>> {
        self.link.request(run, ends, line.clone(), pids.clone())
    }

    /// Resolves when the guard was killed from outside. Runs end as usual, but none can be started
    /// any more, and the stack should be shut down.
    pub fn guard_lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut gone = self.link.gone();
        async move {
            // Fails only when the connection is dropped, with everything else.
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }

    /// Kills what still runs and waits for its end, then for that of the guard and its keepers.
    /// Takes at most about twelve seconds. True when it is proved that no process is left.
    pub async fn finish(&self) -> bool {
        let proved = self.end().await;
        if let Some(ledger) = self.link.ledger().filter(|_| proved) {
            ledger.close();
        }
        proved
    }

    async fn end(&self) -> bool {
        let mut gone = self.link.gone();
        let guard_was_lost = *gone.borrow();
        self.link.kill_all();
        let mut alive = self.link.alive();
        let empty = timeout(LAST_RUNS, alive.wait_for(|count| *count == 0)).await.is_ok();
        if !guard_was_lost {
            self.link.hang_up();
            if timeout(LAST_GUARD, gone.wait_for(|gone| *gone)).await.is_err() {
                // The guard hangs or was stopped. Its keepers see it exit and finish on their own.
                super::platform::kill_one(self.link.guard());
                strays::reap_guard(self.link.guard()).await;
            }
        }
        // Orphans that the guard did not reap are our children now.
        strays::end_all(&self.link).await && empty
    }
}

fn not_started(
    facts: &mpsc::UnboundedSender<Fact>,
    run: RunId,
    why: Message,
    sink: impl Sink,
) -> Leash {
    super::output::Output::new(sink).close(None);
    tell(facts, run, What::NotSpawned(why));
    tell(facts, run, What::Emptied { leftovers: Vec::new() });
    Leash { line: None, pids: Arc::default(), stopper: Arc::default() }
}

/// Returns 128 random bits in hexadecimal.
fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Both sides of a run's three channels.
struct Ends {
    socket: AsyncFd<Arc<UnixStream>>,
    outlets: [Option<Outlet>; 2],
    /// The keeper's side: its connection, stdout and stderr.
    keeper: [OwnedFd; ENDS],
}

impl Ends {
    fn open(terminal: Option<Arc<Terminal>>) -> io::Result<Ends> {
        let (ours, theirs) = UnixStream::pair()?;
        let socket = wait_for(Arc::new(ours), Interest::READABLE | Interest::WRITABLE)?;
        let (outlets, [stdout, stderr]) = match terminal {
            Some(terminal) => Ends::terminal(terminal)?,
            None => Ends::pipes()?,
        };
        Ok(Ends { socket, outlets, keeper: [theirs.into(), stdout, stderr] })
    }

    fn pipes() -> io::Result<([Option<Outlet>; 2], [OwnedFd; 2])> {
        let (out, stdout) = io::pipe()?;
        let (err, stderr) = io::pipe()?;
        let out = Outlet::new(Source::Pipe(out), OutputStream::Stdout)?;
        let err = Outlet::new(Source::Pipe(err), OutputStream::Stderr)?;
        Ok(([Some(out), Some(err)], [stdout.into(), stderr.into()]))
    }

    fn terminal(terminal: Arc<Terminal>) -> io::Result<([Option<Outlet>; 2], [OwnedFd; 2])> {
        let ends = [terminal.end()?, terminal.end()?];
        let outlet = Outlet::new(Source::Terminal(terminal), OutputStream::Stdout)?;
        Ok(([Some(outlet), None], ends))
    }
}
