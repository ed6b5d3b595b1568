use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::environment::Environment;
use super::fact::{Fact, Sink, What};
use super::guard::Guard;
use super::leash::{Leash, Pids};
use super::life::{Life, Told, tell};
use super::line::Line;
use super::link::Link;
use super::outlet::Outlet;
use super::prepared::{Prepared, prepare};
use super::steady::wait_for;
use super::{refusal, strays};
use crate::model::{Launch, Message, Run, Stream};

/// How long killed trees may take to be gone when everything ends. SIGKILL takes milliseconds; what is
/// stuck in the kernel for longer is left to the guard.
const LAST_RUNS: Duration = Duration::from_secs(5);
/// How long the guard may take to end when it has no keepers any more.
const LAST_GUARD: Duration = Duration::from_secs(2);

/// Starts processes and tells what becomes of them.
#[derive(Debug)]
pub struct Processes {
    link: Arc<Link>,
    facts: mpsc::UnboundedSender<Fact>,
    environment: Environment,
}

impl Processes {
    /// To be called inside a runtime with I/O and time. Services inherit the environment that this
    /// process has now. `color`: devstack's output goes to a terminal that shows colours.
    ///
    /// # Errors
    /// What the system says when the guard's socket cannot be waited for.
    pub fn new(
        guard: Guard,
        facts: mpsc::UnboundedSender<Fact>,
        color: bool,
    ) -> io::Result<Processes> {
        let link = Arc::new(Link::new(guard.socket, guard.pid));
        let listening = link.listen()?;
        tokio::spawn(link.clone().serve(listening));
        Ok(Processes { link, facts, environment: Environment::new(std::env::vars_os(), color) })
    }

    /// Starts a run. Never waits and never fails: what becomes of it is told as facts, the last of them
    /// `Emptied`. A number must not be used twice.
    pub fn spawn(&self, run: Run, launch: &Launch, sink: impl Sink) -> Leash {
        match self.begin(run, launch) {
            Ok(life) => {
                let leash = Leash { line: Some(life.line.clone()), pids: life.pids.clone() };
                tokio::spawn(life.live(sink));
                leash
            }
            Err(why) => {
                let mut output = super::output::Output::new(sink);
                output.close();
                tell(&self.facts, run, What::NotSpawned(why));
                tell(&self.facts, run, What::Emptied { leftovers: Vec::new() });
                Leash { line: None, pids: Arc::default() }
            }
        }
    }

    fn begin(&self, run: Run, launch: &Launch) -> Result<Life, Message> {
        let Prepared { parcel, program, dir } = prepare(launch, &self.environment)?;
        let ends = Ends::open().map_err(|error| refusal::no_means("pipes", &error))?;
        let line = Arc::new(Line::new(ends.socket.get_ref().clone()));
        let pids = Arc::new(Pids::default());
        let lost = self.ask(run, ends.keeper, &line, &pids).ok_or_else(refusal::no_guard)?;
        line.launch(parcel);
        let (facts, link) = (self.facts.clone(), self.link.clone());
        let (inbox, told) = (Vec::new(), Told::Nothing);
        let (socket, outlets) = (ends.socket, ends.outlets);
        Ok(Life { run, facts, link, line, pids, socket, outlets, lost, program, dir, inbox, told })
    }

    fn ask(
        &self,
        run: Run,
        ends: [OwnedFd; 3],
        line: &Arc<Line>,
        pids: &Arc<Pids>,
    ) -> Option<oneshot::Receiver<()>> {
        self.link.request(run, ends, line.clone(), pids.clone())
    }

    /// Resolves when the guard was ended from outside. The runs come to their ends as always; nothing
    /// more can be started, and the stack should be shut down.
    pub fn guard_lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut gone = self.link.gone();
        async move {
            // An error means that the link is dropped, with everything else.
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }

    /// Everything ends from now on. Keepers of runs that are over stay until this process has ended,
    /// so that the services' ends come first.
    pub fn part(&self) {
        self.link.part();
    }

    /// Ends it all: kills what still runs and waits for its end. Bounded, about seven seconds. True when
    /// it is proved that nothing is left.
    ///
    /// When every run has told that its tree is empty, that is the proof, and the guard and the
    /// keepers, which end within milliseconds, are not waited for.
    pub async fn finish(self) -> bool {
        let mut gone = self.link.gone();
        let guard_was_lost = *gone.borrow();
        self.link.kill_all();
        let mut alive = self.link.alive();
        let empty = timeout(LAST_RUNS, alive.wait_for(|count| *count == 0)).await.is_ok();
        if !guard_was_lost {
            self.link.hang_up();
            if empty {
                // Somebody may have stopped it: it must go on to end.
                super::platform::cont(self.link.guard());
                return true;
            }
            self.link.release();
            if timeout(LAST_GUARD, gone.wait_for(|gone| *gone)).await.is_err() {
                // It hangs or was stopped, and is no witness. Its keepers see its end and do their work
                // without it.
                super::platform::kill_one(self.link.guard());
                strays::reap_guard(self.link.guard()).await;
            }
        }
        // What the guard did not see to the end has become ours.
        strays::end_all(&self.link).await && empty
    }
}

/// Both sides of a run's three channels.
struct Ends {
    socket: AsyncFd<Arc<UnixStream>>,
    outlets: [Option<Outlet>; 2],
    /// The line, stdout and stderr of the keeper.
    keeper: [OwnedFd; 3],
}

impl Ends {
    fn open() -> io::Result<Ends> {
        let (ours, theirs) = UnixStream::pair()?;
        let (out, stdout) = io::pipe()?;
        let (err, stderr) = io::pipe()?;
        Ok(Ends {
            socket: wait_for(Arc::new(ours), Interest::READABLE | Interest::WRITABLE)?,
            outlets: [
                Some(Outlet::new(out, Stream::Stdout)?),
                Some(Outlet::new(err, Stream::Stderr)?),
            ],
            keeper: [theirs.into(), stdout.into(), stderr.into()],
        })
    }
}
