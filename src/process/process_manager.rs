use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::cleanup::{RecordWriter, adopted_orphans};
use super::guard::{GuardConnection, GuardHandle, RunStart};
use super::keeper::KeeperOrder;
use super::process_tree;
use super::run::{
    BoxFuture, MainPids, OneShotCommand, OutputSink, PtySet, RunChange, RunChannels, RunHandle,
    RunPids, RunProgress, RunReport, RunTask, send_report,
};
use super::spawn::{InheritedEnv, ListenFd, MAX_LISTEN_FDS, PreparedSpawn, prepare, spawn_errors};
use super::stack_mark::StackMark;
use crate::model::{
    DirMove, LaunchConfig, Message, RunId, SERVICE_VAR, StackContainers, Survivor, TtyMode,
};
use crate::regular_file::random_bytes;
use crate::sys::pty::{Pty, TermSize};

/// How long killed trees may take to disappear at the end. SIGKILL takes milliseconds; what is
/// stuck in the kernel for longer is left to the guard.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the guard may take to exit once it keeps no run.
const GUARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts processes and reports what happens to them.
#[derive(Debug)]
pub struct ProcessManager {
    link: Arc<GuardConnection>,
    run_reports: mpsc::UnboundedSender<RunReport>,
    environment: Arc<InheritedEnv>,
    /// How many one-shot commands were started; they are numbered down from the largest run number.
    asides: AtomicU64,
    terminals: PtySet,
    on_terminal: bool,
    token: String,
    mark: StackMark,
    mains: Arc<MainPids>,
}

impl ProcessManager {
    /// Must be called inside a runtime with I/O and time. Services inherit the environment this
    /// process has now. `color`: devstack writes to a terminal with colors.
    ///
    /// # Errors
    /// The system's error when the guard's socket cannot be registered with the runtime.
    pub fn new(
        guard: GuardHandle,
        run_reports: mpsc::UnboundedSender<RunReport>,
        color: bool,
    ) -> io::Result<ProcessManager> {
        let link = Arc::new(GuardConnection::new(guard.socket, guard.pid));
        let listening = link.listen()?;
        tokio::spawn(link.clone().serve(listening));
        let token = format!("{:032x}", random_bits()?);
        let environment = InheritedEnv::new(std::env::vars_os(), color, token.clone());
        Ok(ProcessManager {
            link,
            run_reports,
            environment: Arc::new(environment),
            asides: AtomicU64::new(0),
            terminals: PtySet::default(),
            on_terminal: false,
            mark: StackMark::of_token(&token).expect("a token has 32 hexadecimal digits"),
            mains: Arc::default(),
            token,
        })
    }

    /// Records live runs in this file, for `clean_up` after a crash. `shut_down` removes it unless
    /// a process is left. Must be called before the first spawn.
    pub fn record_to(self, file: &Path) -> ProcessManager {
        let writer = RecordWriter::open(file, self.token.clone(), self.link.guard());
        self.link.set_record_writer(writer);
        self
    }

    /// Continues the record of live runs in the project directory's new place.
    pub fn relocate(&self, moved: &DirMove) {
        if let Some(ledger) = self.link.ledger() {
            ledger.relocate(moved);
        }
    }

    /// Returns the value of `DEVSTACK_RUN` that marks every process of this stack.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// devstack's log goes to a terminal, so services with `tty = "auto"` get a pty.
    pub fn with_terminal(self) -> ProcessManager {
        ProcessManager { on_terminal: true, ..self }
    }

    /// Returns what services inherit.
    pub fn environment(&self) -> Arc<InheritedEnv> {
        self.environment.clone()
    }

    /// Resizes the ptys of all services; 0 means unknown. The default is 24 rows and 80 columns.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.terminals.resize(TermSize { rows, columns });
    }

    /// Reserves a run that is started later, such as one whose image is pulled first. Until then its
    /// handle does nothing. A run number must not be reused.
    pub fn reserve(&self, run: RunId, launch: &LaunchConfig) -> ReservedRun {
        let service = launch.env.get(SERVICE_VAR).map(str::to_owned);
        let pids = Arc::new(RunPids::new(self.mains.clone(), service));
        let link = Some((run, self.link.clone()));
        ReservedRun { run, handle: RunHandle { link, pids, stopper: Arc::default() } }
    }

    /// Starts a reserved run. Never blocks and never fails: its run reports follow, the last of them
    /// `TreeEmpty`. Output to a pty arrives as stdout.
    ///
    /// The program is passed the sockets `handed`, at most 64: as descriptors from 3 on, described
    /// by `LISTEN_FDS` and so on as in sd_listen_fds(3). No other process inherits them.
    pub fn start_reserved(
        &self,
        reserved: ReservedRun,
        launch: &LaunchConfig,
        inputs: RunInputs,
        sink: impl OutputSink,
    ) {
        self.start(&self.run_reports, reserved, launch, inputs, sink);
    }

    /// Reports a reserved run as one that failed to start for this reason.
    pub fn refuse_reserved(&self, reserved: ReservedRun, why: Message, sink: impl OutputSink) {
        not_started(&self.run_reports, reserved.run, why, sink);
    }

    /// Reports a run that cannot even be tried as one that failed to start for this reason.
    pub fn spawn_refused(&self, run: RunId, why: Message, sink: impl OutputSink) -> RunHandle {
        not_started(&self.run_reports, run, why, sink)
    }

    fn start(
        &self,
        run_reports: &mpsc::UnboundedSender<RunReport>,
        reserved: ReservedRun,
        launch: &LaunchConfig,
        inputs: RunInputs,
        mut sink: impl OutputSink,
    ) {
        let run = reserved.run;
        match self.prepare_run(run_reports, reserved, launch, inputs, &mut sink) {
            Ok(life) => drop(tokio::spawn(life.run(sink))),
            Err(why) => drop(not_started(run_reports, run, why, sink)),
        }
    }

    /// Starts a short command that is not a run of a service, such as a probe. It is kept, ended
    /// and proved gone like one, but its reports go only to the caller.
    pub fn spawn_one_shot(&self, launch: &LaunchConfig, sink: impl OutputSink) -> OneShotCommand {
        let (tell, run_reports) = mpsc::unbounded_channel();
        let run = RunId(u64::MAX - self.asides.fetch_add(1, Ordering::Relaxed));
        let reserved = self.reserve(run, launch);
        let handle = reserved.handle.clone();
        let inputs = RunInputs { tty: TtyMode::No, handed: Vec::new(), epilogue: None };
        self.start(&tell, reserved, launch, inputs, sink);
        OneShotCommand { handle, run_reports }
    }

    /// Stops a run with a command, which gets the main pid in `MAINPID` and has a tree of its own.
    /// The run lasts at least as long as the command; killing the run kills both. If the command
    /// fails, reports the error and stops the run with the signal `otherwise`.
    pub fn stop_with_command(
        &self,
        handle: &RunHandle,
        launch: &LaunchConfig,
        otherwise: i32,
        sink: impl OutputSink,
        tell: impl FnOnce(Message) + Send + 'static,
    ) {
        let Some(main) = handle.main() else { return handle.stop(otherwise) };
        let Some(place) = handle.stopper.reserve() else { return };
        handle.order(KeeperOrder::Stopping);
        let mut launch = launch.clone();
        launch.env.insert("MAINPID", &main.to_string());
        let mut command = self.spawn_one_shot(&launch, sink);
        place.fill(command.handle().clone());
        let handle = handle.clone();
        tokio::spawn(async move {
            if let Some(why) = command.failure().await
                && !handle.stopper.was_killed()
            {
                tell(spawn_errors::stop_command_failed(&launch.command, &why, otherwise));
                handle.stop(otherwise);
            }
            drop(place);
        });
    }

    fn prepare_run(
        &self,
        run_reports: &mpsc::UnboundedSender<RunReport>,
        reserved: ReservedRun,
        launch: &LaunchConfig,
        inputs: RunInputs,
        sink: &mut impl OutputSink,
    ) -> Result<RunTask, Message> {
        let RunInputs { tty, handed, epilogue } = inputs;
        let ReservedRun { run, handle: RunHandle { pids, stopper, .. } } = reserved;
        let terminal = self.terminal(tty)?;
        let PreparedSpawn { parcel, program, dir } =
            prepare(launch, &self.environment, terminal.is_some(), &handed)?;
        // Before the process exists, so that the pty has its size when the program reads it.
        sink.starting(terminal.as_ref());
        let RunChannels { outlets, fds } = RunChannels::open(terminal)
            .map_err(|error| spawn_errors::out_of_resources("pipes", &error))?;
        let sockets = handed.into_iter().map(|handed| handed.socket).take(MAX_LISTEN_FDS);
        let fds = fds.into_iter().chain(sockets).collect();
        let mark = self.mark.run(run);
        let reports = self.link.start(run, RunStart { mark, parcel, fds }, pids.clone());
        let reports = reports.ok_or_else(spawn_errors::guard_lost)?;
        Ok(RunTask {
            run,
            run_reports: run_reports.clone(),
            link: self.link.clone(),
            pids,
            stopper,
            epilogue,
            mark,
            reports,
            outlets,
            program,
            dir,
            reported: RunProgress::Nothing,
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

    fn terminal(&self, tty: TtyMode) -> Result<Option<Arc<Pty>>, Message> {
        if !self.gives_terminal(tty) {
            return Ok(None);
        }
        match self.terminals.open() {
            Ok(terminal) => Ok(Some(terminal)),
            Err(error) if tty == TtyMode::Yes => {
                Err(spawn_errors::out_of_resources("a terminal", &error))
            }
            Err(error) => {
                tracing::debug!("cannot open a terminal: {error}");
                Ok(None)
            }
        }
    }

    /// Resolves when the guard was killed from outside. Runs end as usual, but none can be started
    /// any more, and the stack should be shut down.
    pub fn guard_lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut gone = self.link.closed();
        async move {
            // Fails only when the connection is dropped, with everything else.
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }

    /// Returns a function that lists what is left of the tree of a run, and which helpers do not
    /// work. It reads files: not for the loop.
    pub fn survivors(
        &self,
        run: &RunHandle,
    ) -> impl Fn() -> Vec<Survivor> + Clone + Send + 'static {
        let (run, guard) = (run.clone(), self.link.guard());
        move || process_tree::survivors(&run.tree_pids(), guard)
    }

    /// Kills what still runs and waits for its end, then for that of the guard.
    /// Takes at most about twelve seconds. True when it is proved that no process is left; otherwise
    /// the guard goes on killing and ends once nothing is left.
    pub async fn shut_down(&self) -> bool {
        let proved = self.end().await;
        if let Some(ledger) = self.link.ledger().filter(|_| proved) {
            ledger.close();
        }
        proved
    }

    /// The same, but the record stays: it knows what is left in container engines.
    pub async fn shut_down_with_record(&self) -> bool {
        self.end().await
    }

    /// Kills what still runs, and leaves it to the guard to see it gone.
    pub fn kill_all(&self) {
        self.link.kill_all();
    }

    /// Kills what still runs, and waits for its end for at most five seconds.
    pub async fn empty(&self) {
        self.link.kill_all();
        let mut alive = self.link.alive();
        // What lasts longer is reported by `shut_down`.
        let _ = timeout(KILL_TIMEOUT, alive.wait_for(|count| *count == 0)).await;
    }

    /// Records what the stack may have in container engines, and lets the guard clean up there if this
    /// process is killed. Not for the loop: it writes a file.
    pub fn has_containers(&self, has: &StackContainers, last_act: &[u8]) {
        self.link.set_last_act(last_act);
        if let Some(ledger) = self.link.ledger() {
            ledger.has_containers(has);
        }
    }

    /// The guard has nothing to clean up any more.
    pub fn cancel_last_act(&self) {
        self.link.set_last_act(&[]);
    }

    async fn end(&self) -> bool {
        let mut gone = self.link.closed();
        let guard_was_lost = *gone.borrow();
        self.link.kill_all();
        let mut alive = self.link.alive();
        if timeout(KILL_TIMEOUT, alive.wait_for(|count| *count == 0)).await.is_err() {
            return false;
        }
        if !guard_was_lost {
            self.link.close();
            if timeout(GUARD_TIMEOUT, gone.wait_for(|gone| *gone)).await.is_err() {
                // The guard hangs. Keepers, where there are any, see it exit and finish on their own.
                crate::sys::signal::kill(self.link.guard(), libc::SIGKILL);
                adopted_orphans::reap_guard(self.link.guard()).await;
            }
        }
        // Orphans that the guard did not reap are our children now.
        adopted_orphans::kill_all(&self.link).await
    }
}

/// A run that is about to start.
#[derive(Debug)]
pub struct ReservedRun {
    run: RunId,
    handle: RunHandle,
}

impl ReservedRun {
    pub fn handle(&self) -> &RunHandle {
        &self.handle
    }
}

/// What a run gets beside its command.
pub struct RunInputs {
    /// Whether it gets a pty.
    pub tty: TtyMode,
    /// Sockets that its program is passed, at most 64.
    pub handed: Vec<ListenFd>,
    /// Ends what belongs to the run and is none of its processes; its end is reported after that.
    pub epilogue: Option<BoxFuture>,
}

fn not_started(
    run_reports: &mpsc::UnboundedSender<RunReport>,
    run: RunId,
    why: Message,
    sink: impl OutputSink,
) -> RunHandle {
    super::run::PanicSafeSink::new(sink).close(None);
    send_report(run_reports, run, RunChange::SpawnFailed(why));
    send_report(run_reports, run, RunChange::TreeEmpty { orphans: Vec::new() });
    RunHandle { link: None, pids: Arc::default(), stopper: Arc::default() }
}

/// Returns 128 random bits as 26 letters and digits, for paths of sockets, which must be short.
pub(crate) fn random_name() -> io::Result<String> {
    let bits = random_bits()?;
    let digit = |at: u32| char::from_digit((bits >> (5 * at)) as u32 & 31, 32);
    Ok((0..26).rev().filter_map(digit).collect())
}

fn random_bits() -> io::Result<u128> {
    random_bytes().map(u128::from_ne_bytes)
}
