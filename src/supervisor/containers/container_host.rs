use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep};

use super::engine_record::EngineRecord;
use super::used_engine::UsedEngine;
use crate::container::{self, ContainerLabels, DiscoveryFacts, EngineClient};
use crate::log::StackLog;
use crate::model::{ContainerEngine, EngineAddress, Message, RunId, Stack};
use crate::ports::NetworkInterface;
use crate::probe::{ProbeFinding, ProbeReport};
use crate::process::{self, ProcessManager};

/// How long an engine that was there may take to come back: a restart of Docker takes some seconds.
const RETURN_LIMIT: Duration = Duration::from_secs(60);
const RETURN_PAUSE: Duration = Duration::from_millis(250);

/// What a stack has in container engines. Shared by all its runs.
pub struct ContainerHost {
    pub(super) processes: Arc<ProcessManager>,
    pub(super) logs: StackLog,
    pub(super) reports: mpsc::UnboundedSender<ProbeReport>,
    pub(super) labels: ContainerLabels,
    pub(super) dir: PathBuf,
    pub(super) record: Arc<EngineRecord>,
    /// By what services ask for. Locked while one is looked for: all services use the same.
    engines: Mutex<BTreeMap<Option<&'static str>, UsedEngine>>,
}

impl ContainerHost {
    /// Nothing is asked or created before the first container.
    pub fn new(
        processes: Arc<ProcessManager>,
        logs: StackLog,
        reports: mpsc::UnboundedSender<ProbeReport>,
        record: Arc<EngineRecord>,
        stack: &Stack,
    ) -> ContainerHost {
        let labels = ContainerLabels {
            stack: stack.name.to_string(),
            token: processes.token().to_owned(),
            place: place_of(&stack.dir),
        };
        let (dir, engines) = (stack.dir.clone(), Mutex::default());
        ContainerHost { processes, logs, reports, labels, dir, record, engines }
    }

    /// Finds the engine for a run, and makes sure that everything in it is found later.
    pub(super) async fn engine(
        &self,
        run: RunId,
        wanted: Option<ContainerEngine>,
    ) -> Result<UsedEngine, Message> {
        let mut engines = self.engines.lock().await;
        let key = wanted.map(ContainerEngine::name);
        if let Some(used) = engines.get(&key).filter(|used| !used.has_failed()).cloned() {
            drop(engines);
            self.await_return(run, &used.client).await?;
            return Ok(used);
        }
        let environment = self.processes.environment();
        let path = environment.inherited("PATH").map(OsStr::to_owned);
        let find =
            |name: &str| process::locate_program(name.as_ref(), Path::new("/"), path.as_ref()).ok();
        let facts =
            DiscoveryFacts::collect(|name| environment.inherited(name).map(OsStr::to_owned), find);
        let client = container::find_engine(&facts, wanted).await?;
        let same =
            |used: &&UsedEngine| used.client.address() == client.address() && !used.has_failed();
        let used = match engines.values().find(same) {
            Some(used) => used.clone(),
            None => UsedEngine::open(client, &self.labels, self.record.clone()).await,
        };
        engines.insert(key, used.clone());
        Ok(used)
    }

    /// Returns the engine that services with this wish run in, if one has started there.
    pub(super) fn known_engine(&self, wanted: Option<ContainerEngine>) -> Option<EngineAddress> {
        let engines = self.engines.try_lock().ok()?;
        engines.get(&wanted.map(ContainerEngine::name)).map(|used| used.client.address().clone())
    }

    /// Returns where containers reach this machine, in the words of the engine. Podman knows no word
    /// for it before 4.7.
    pub(super) async fn address_inside(&self, client: &EngineClient) -> Option<String> {
        if client.address().engine == ContainerEngine::Docker {
            return Some("host-gateway".to_owned());
        }
        let is_rootless = !rustix::process::geteuid().is_root();
        match is_rootless {
            // The network is in a namespace of its own, from which only other addresses lead here.
            true => NetworkInterface::list().first().map(|one| one.address.to_string()),
            false => client.gateway(&self.labels.network()).await.ok().flatten(),
        }
    }

    /// Waits for an engine that was there before: it may be restarted while the stack runs.
    async fn await_return(&self, run: RunId, client: &EngineClient) -> Result<(), Message> {
        let limit = Instant::now() + RETURN_LIMIT;
        loop {
            match client.ping().await {
                Ok(()) => return Ok(()),
                Err(error) if error.may_pass() && Instant::now() < limit => {
                    let message = client.message(&error);
                    self.progress(
                        run,
                        format!("waiting for its container engine: {}", message.text),
                    );
                    sleep(RETURN_PAUSE).await;
                }
                Err(error) => return Err(client.message(&error)),
            }
        }
    }

    /// Says what a run that has not started yet is waiting for.
    pub(super) fn progress(&self, run: RunId, what: String) {
        // Without a receiver the stack is shutting down.
        let _ = self.reports.send(ProbeReport { run, what: ProbeFinding::Failed(what) });
    }

    /// Notes a problem of a run.
    pub(super) fn note(&self, run: RunId, message: Message) {
        // Without a receiver the stack is shutting down.
        let _ = self.reports.send(ProbeReport { run, what: ProbeFinding::Note(message) });
    }

    /// Removes everything of the stack except named volumes. All runs must be over.
    ///
    /// # Errors
    /// Why something may be left.
    pub async fn finish(&self) -> Result<(), String> {
        for used in self.engines.lock().await.values() {
            // If it failed, a run has said so.
            let _ = used.network().await;
        }
        let Some(has) = self.record.all() else { return Ok(()) };
        let left = container::remove_containers(&has).await;
        if let Some(why) = left.trouble.into_iter().next() {
            return Err(why);
        }
        self.record.nothing_is_left();
        Ok(())
    }
}

/// A directory keeps this when it is moved, and a copy has another one.
fn place_of(dir: &Path) -> String {
    dir.metadata().map_or_else(|_| "0".to_owned(), |about| format!("{:x}", about.ino()))
}
