use std::collections::BTreeSet;
use std::pin::Pin;

use super::{ProbeCommandEnd, ProbeCommandOutput};
use crate::model::{LaunchConfig, ListenAddress, Message, MessageClass};
use crate::ports::{ListenerOwner, PortHolder};

type TreeFn = dyn Fn() -> Vec<u32> + Send + Sync;
type OwnerFn = dyn Fn(u16, &[u32]) -> ListenerOwner + Send + Sync;
type ExecFn =
    dyn Fn(LaunchConfig) -> Pin<Box<dyn Future<Output = ProbeCommandOutput> + Send>> + Send + Sync;
type AdoptFn = dyn Fn(u16, PortHolder) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync;
type ListeningFn = dyn Fn(&[u32]) -> Vec<ListenAddress> + Send + Sync;

/// What probes can see of a run. Probe tasks call the functions, which should return within a few
/// milliseconds.
pub struct ProbeContext {
    tree: Box<TreeFn>,
    owner: Box<OwnerFn>,
    listening: Box<ListeningFn>,
    given: BTreeSet<u16>,
    main: Option<u16>,
    alone: bool,
    trying: Option<Box<ExecFn>>,
    container: Option<ContainerProbes>,
    adopt: Option<Box<AdoptFn>>,
}

/// What probes can see of the container of a run.
pub struct ContainerProbes {
    /// Explains why a port, outside, leads to nothing although something listens.
    pub hint: Box<dyn Fn(u16) -> Option<Message> + Send + Sync>,
    /// Resolves once the container runs.
    pub runs: Box<dyn Fn() -> BoxedStart + Send + Sync>,
    /// Finds out whether the container is healthy.
    pub health: Box<dyn Fn() -> BoxedHealth + Send + Sync>,
}

pub type BoxedStart = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whether a container is healthy, and why not; `None`: its image has no HEALTHCHECK.
pub type BoxedHealth = Pin<Box<dyn Future<Output = Option<Result<(), String>>> + Send>>;

impl ProbeContext {
    /// `tree` lists the live processes of the run; `owner` returns the owner of a port and
    /// `listening` the listen addresses, both seen from such a list.
    pub fn new(
        tree: impl Fn() -> Vec<u32> + Send + Sync + 'static,
        owner: impl Fn(u16, &[u32]) -> ListenerOwner + Send + Sync + 'static,
        listening: impl Fn(&[u32]) -> Vec<ListenAddress> + Send + Sync + 'static,
    ) -> ProbeContext {
        let (tree, owner, listening) = (Box::new(tree), Box::new(owner), Box::new(listening));
        let (given, main, alone) = (BTreeSet::new(), None, false);
        let (trying, container, adopt) = (None, None, None);
        ProbeContext { tree, owner, listening, given, main, alone, trying, container, adopt }
    }

    /// The run is a container.
    pub fn in_container(self, container: ContainerProbes) -> ProbeContext {
        ProbeContext { container: Some(container), ..self }
    }

    /// Sets the function that finds out whether a process that is none of the run listens for it.
    pub fn adopting<F>(
        self,
        adopt: impl Fn(u16, PortHolder) -> F + Send + Sync + 'static,
    ) -> ProbeContext
    where
        F: Future<Output = bool> + Send + 'static,
    {
        ProbeContext {
            adopt: Some(Box::new(move |port, holder| Box::pin(adopt(port, holder)))),
            ..self
        }
    }

    /// Whether a process that is none of the run listens for it after all.
    pub(super) async fn adopts(&self, port: u16, holder: &PortHolder) -> bool {
        match &self.adopt {
            Some(adopt) => adopt(port, holder.clone()).await,
            None => false,
        }
    }

    /// Whether connections to the port are accepted by something between, before the run listens.
    pub(super) fn is_forwarded(&self) -> bool {
        self.container.is_some()
    }

    /// Resolves once the container of the run is started; before, no attempt can succeed.
    pub(super) async fn started(&self) {
        if let Some(container) = &self.container {
            (container.runs)().await;
        }
    }

    /// Explains why a port leads to nothing although something listens.
    pub(super) fn hint(&self, port: u16) -> Option<Message> {
        (self.container.as_ref()?.hint)(port)
    }

    /// Whether its container is healthy, and why not; `None`: its image has no HEALTHCHECK.
    pub(super) async fn container_health(&self) -> Option<Result<(), String>> {
        match &self.container {
            Some(container) => (container.health)().await,
            None => Some(Err("it runs in no container".to_owned())),
        }
    }

    /// Sets the ports assigned to the run, main port first.
    pub fn with_ports(self, ports: &[u16]) -> ProbeContext {
        ProbeContext {
            given: ports.iter().copied().collect(),
            main: ports.first().copied(),
            ..self
        }
    }

    /// Requires that no other process listens on the port, at any address: for readiness.
    pub fn exclusive(self) -> ProbeContext {
        ProbeContext { alone: true, ..self }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Sets the function that runs probe commands. Dropping its future must end the command.
    pub fn trying<F>(
        self,
        trying: impl Fn(LaunchConfig) -> F + Send + Sync + 'static,
    ) -> ProbeContext
    where
        F: Future<Output = ProbeCommandOutput> + Send + 'static,
    {
        ProbeContext { trying: Some(Box::new(move |launch| Box::pin(trying(launch)))), ..self }
    }

    pub(super) async fn try_out(&self, launch: LaunchConfig) -> ProbeCommandOutput {
        match &self.trying {
            Some(trying) => trying(launch).await,
            None => {
                let why = Message::new(MessageClass::Internal, "no runner for probe commands");
                ProbeCommandOutput { verdict: ProbeCommandEnd::NotStarted(why), status: Vec::new() }
            }
        }
    }

    /// Returns the owner of the listener on `port`.
    pub(super) fn owner(&self, port: u16) -> ListenerOwner {
        match (self.owner)(port, &(self.tree)()) {
            // The listener may have started after the tree was listed.
            ListenerOwner::Foreign(_) | ListenerOwner::Shared(..) => {
                (self.owner)(port, &(self.tree)())
            }
            owner @ (ListenerOwner::Ours(_)
            | ListenerOwner::NotListening
            | ListenerOwner::Unknown) => owner,
        }
    }

    /// Whether the main port is among these; true without a main port.
    pub(super) fn main_among(&self, seen: &BTreeSet<ListenAddress>) -> bool {
        let mut ports = seen.iter().filter_map(ListenAddress::tcp).map(|address| address.port());
        self.main.is_none_or(|main| ports.any(|port| port == main))
    }

    /// Where the run listens on its main port; `None` if it has none or that is unknown.
    pub(super) fn main_port(&self) -> Option<Vec<ListenAddress>> {
        match self.owner(self.main?) {
            ListenerOwner::Ours(listening) if listening.is_empty() => None,
            ListenerOwner::Ours(listening) | ListenerOwner::Shared(listening, _) => {
                Some(listening.into_iter().map(ListenAddress::Tcp).collect())
            }
            ListenerOwner::Foreign(_) | ListenerOwner::NotListening => Some(Vec::new()),
            ListenerOwner::Unknown => None,
        }
    }

    /// Where the run listens, if any of that is not an assigned port.
    pub(super) fn unexpected_addresses(&self) -> Option<Vec<ListenAddress>> {
        let listening = (self.listening)(&(self.tree)());
        let strange = |address: &ListenAddress| match address {
            ListenAddress::Tcp(address) => !self.given.contains(&address.port()),
            ListenAddress::Unix(_) => true,
        };
        listening.iter().any(strange).then_some(listening)
    }
}
