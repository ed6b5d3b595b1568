use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::container_host::ContainerHost;
use super::engine_record::EngineRecord;
use super::memory_end::{MemoryEnd, await_memory_end};
use crate::container::{
    ContainerCommand, ContainerFacts, EngineClient, EngineError, out_of_memory, still_running,
};
use crate::model::{
    ContainerEngine, ContainerPlace, LaunchConfig, Message, MessageClass, Name, RunId, Service,
};
use crate::process::{OutputSink, ReservedRun, RunHandle, RunInputs};

/// How soon and how often to ask whether a container runs: it takes about 300 ms, and an answer one.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(20);
/// How often later, and after how many looks: the engine is busy.
const LONG_PAUSE: Duration = Duration::from_millis(250);
const QUICK_LOOKS: u32 = 100;

/// How long an engine may take to make a container that is to end. Then its program is killed, before it
/// would count as unstoppable.
const EARLY_LIMIT: Duration = Duration::from_secs(4);

/// The container of a run. Dropping this ends a preparation, and nothing else.
#[derive(Debug)]
pub struct ContainerRun {
    pub(super) state: Arc<ContainerState>,
    record: Arc<EngineRecord>,
    /// Dropped to cancel the preparation; closed when that is over.
    preparation: Option<oneshot::Sender<()>>,
}

/// What is known of the container of a run.
#[derive(Debug)]
pub(super) struct ContainerState {
    /// Its name, which no other container of a stack has.
    pub name: String,
    /// What tells it from one that somebody else has given this name.
    pub token: String,
    pub client: OnceLock<EngineClient>,
    /// Once it runs.
    pub running: OnceLock<ContainerFacts>,
    /// Whether it was seen running.
    pub seen: watch::Sender<bool>,
    /// Once its first process has exited, if the kernel killed something of it.
    pub memory_end: OnceLock<MemoryEnd>,
    /// Whether the run is over.
    pub ended: AtomicBool,
}

#[derive(Debug)]
pub struct ContainerStart {
    pub reserved: ReservedRun,
    /// Its number.
    pub run: RunId,
    pub service: Arc<Service>,
    /// The name that stands for all replicas.
    pub group: Option<Name>,
}

impl ContainerRun {
    /// Prepares and starts a container. Reports follow as of any other run.
    pub fn start(
        host: &Arc<ContainerHost>,
        start: ContainerStart,
        sink: impl OutputSink,
    ) -> ContainerRun {
        let state = Arc::new(ContainerState {
            name: host.labels.container(&start.service.name, start.run),
            token: host.labels.token.clone(),
            client: OnceLock::new(),
            running: OnceLock::new(),
            seen: watch::Sender::new(false),
            memory_end: OnceLock::new(),
            ended: AtomicBool::new(false),
        });
        let (preparation, mut cancelled) = oneshot::channel::<()>();
        let (host, record, shared) = (host.clone(), host.record.clone(), state.clone());
        tokio::spawn(async move {
            let ContainerStart { reserved, run, service, group } = start;
            let prepared = tokio::select! {
                biased;
                // Nothing of it has begun.
                _ = &mut cancelled => Err(stopped_early()),
                prepared = prepare(&host, run, &service, group.as_ref(), &shared) => prepared,
            };
            // From here on, its end finds its engine.
            let prepared = match cancelled.try_recv() {
                Err(oneshot::error::TryRecvError::Closed) => Err(stopped_early()),
                Ok(()) | Err(oneshot::error::TryRecvError::Empty) => prepared,
            };
            match prepared {
                Ok((client, launch)) => {
                    host.record.begin(client.address(), &shared.name).await;
                    let epilogue = Box::pin(epilogue(host.clone(), run, shared.clone()));
                    let inputs = RunInputs {
                        tty: service.tty,
                        handed: Vec::new(),
                        epilogue: Some(epilogue),
                    };
                    host.processes.start_reserved(reserved, &launch, inputs, sink);
                    if observe(&shared).await {
                        host.record.settle(&shared.name);
                        await_memory_end(&shared).await;
                    }
                }
                Err(why) => {
                    shared.ended.store(true, Ordering::Relaxed);
                    host.processes.refuse_reserved(reserved, why, sink);
                }
            }
        });
        ContainerRun { state, record, preparation: Some(preparation) }
    }

    /// Whether the container runs, so that a signal reaches it.
    pub fn is_running(&self) -> bool {
        self.state.running.get().is_some()
    }

    /// Returns its engine, once that is known.
    pub fn engine(&self) -> Option<ContainerEngine> {
        self.state.client.get().map(|client| client.address().engine)
    }

    /// Ends a run whose container does not run yet; it is then reported as over. Its program is killed
    /// only once the engine has made the container and it is removed: what was asked of the engine would
    /// come into being later and stay.
    pub fn end_early(&mut self, program: RunHandle) {
        self.preparation = None;
        let (state, record) = (self.state.clone(), self.record.clone());
        tokio::spawn(async move {
            // Without a client, nothing was asked yet.
            if let Some(client) = state.client.get() {
                let removed = async {
                    while !state.ended.load(Ordering::Relaxed) {
                        if let Ok(true) = state.remove(client).await {
                            record.settle(&state.name);
                            break;
                        }
                        sleep(PAUSE).await;
                    }
                };
                // A limit, because the engine may hang.
                let _ = timeout(EARLY_LIMIT, removed).await;
            }
            program.kill();
        });
    }

    /// Its program has exited, not killed: nothing that it asked for appears later.
    pub fn program_exited(&self) {
        self.record.settle(&self.state.name);
    }

    /// Returns the pids of its processes, where the engine runs on this machine.
    pub fn local_pids(&self) -> Vec<u32> {
        self.state.local_pids()
    }

    /// Returns where commands run inside. `None`: it does not run yet.
    pub fn place(&self) -> Option<ContainerPlace> {
        self.state.place()
    }
}

impl ContainerState {
    pub fn place(&self) -> Option<ContainerPlace> {
        let client = self.client.get().filter(|_| self.running.get().is_some())?;
        let (engine, container) = (client.address().clone(), self.name.clone());
        Some(ContainerPlace { engine, name: container })
    }

    /// Looks it up. `None`: there is none, or it is somebody else's.
    pub async fn look(&self, client: &EngineClient) -> Result<Option<ContainerFacts>, EngineError> {
        let found = client.container(&self.name).await?;
        Ok(found.filter(|facts| facts.token.as_ref() == Some(&self.token)))
    }

    /// Removes it. Returns whether there was one.
    async fn remove(&self, client: &EngineClient) -> Result<bool, EngineError> {
        match self.look(client).await? {
            Some(facts) => client.remove(&facts.id).await,
            None => Ok(false),
        }
    }
}

/// Returns the command that runs the container.
async fn prepare(
    host: &ContainerHost,
    run: RunId,
    service: &Service,
    group: Option<&Name>,
    state: &ContainerState,
) -> Result<(EngineClient, LaunchConfig), Message> {
    let container = service.launch.container.as_ref().expect("the service has a container");
    let used = host.engine(run, container.engine).await?;
    let client = used.client.clone();
    let image = host.prepare(run, service, container, &client).await?;
    used.network().await?;
    let host_address = host.address_inside(&client).await;
    let command = ContainerCommand {
        engine: client.address(),
        labels: &host.labels,
        service,
        group,
        container,
        image: &image,
        run,
        terminal: host.processes.gives_terminal(service.tty),
        host_address: host_address.as_deref(),
    };
    let launch = command.launch(&host.dir);
    // Set once: a run is prepared once.
    let _ = state.client.set(client.clone());
    Ok((client, launch))
}

fn stopped_early() -> Message {
    Message::new(MessageClass::Container, "stopped before its start")
}

/// Asks until the container runs, or with the end of the run. Returns whether it was seen.
async fn observe(state: &ContainerState) -> bool {
    let Some(client) = state.client.get() else { return false };
    sleep(FIRST_LOOK).await;
    let (mut seen, mut looks) = (false, 0);
    loop {
        match state.look(client).await {
            Ok(Some(facts)) if facts.running => {
                // Set once: nothing else does.
                let _ = state.running.set(facts);
                state.seen.send_replace(true);
                return true;
            }
            Ok(Some(_)) => seen = true,
            // It is over.
            Ok(None) if seen => return true,
            Ok(None) | Err(_) => {}
        }
        if state.ended.load(Ordering::Relaxed) {
            return seen;
        }
        looks += 1;
        sleep(if looks < QUICK_LOOKS { PAUSE } else { LONG_PAUSE }).await;
    }
}

/// Removes the container after the end of its program, which may have been killed.
async fn epilogue(host: Arc<ContainerHost>, run: RunId, state: Arc<ContainerState>) {
    state.ended.store(true, Ordering::Relaxed);
    let Some(client) = state.client.get() else { return };
    if let Ok(Some(mut ended)) = state.look(client).await {
        state.memory_end.get().into_iter().for_each(|end| end.complete(&mut ended));
        out_of_memory(&ended).into_iter().for_each(|why| host.note(run, why));
    }
    match state.remove(client).await {
        Ok(true) => host.record.settle(&state.name),
        // Its program was killed before it was made, or failed.
        Ok(false) => {}
        Err(error) => {
            // Before its next start, it is tried again.
            let (engine, why) = (client.address().engine, client.message(&error));
            host.note(run, still_running(engine, &state.name, &why));
        }
    }
}
