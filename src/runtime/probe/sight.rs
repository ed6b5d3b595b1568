use std::collections::BTreeSet;
use std::pin::Pin;

use super::{Owner, Trial, Verdict};
use crate::model::{Address, Class, Launch, Message};

type Tree = dyn Fn() -> Vec<u32> + Send + Sync;
type Whose = dyn Fn(u16, &[u32]) -> Owner + Send + Sync;
type Trying = dyn Fn(Launch) -> Pin<Box<dyn Future<Output = Trial> + Send>> + Send + Sync;
type Listening = dyn Fn(&[u32]) -> Vec<Address> + Send + Sync;

/// How probes see the processes and listeners of a run. The functions are called from the probing tasks and
/// should take no longer than a few milliseconds.
pub struct Sight {
    tree: Box<Tree>,
    owner: Box<Whose>,
    listening: Box<Listening>,
    given: BTreeSet<u16>,
    main: Option<u16>,
    alone: bool,
    trying: Option<Box<Trying>>,
}

impl Sight {
    /// `tree` gives the live processes of the run, `owner` whose the listener of a port is, seen from such a
    /// list, and `listening` where the processes of such a list listen.
    pub fn new(
        tree: impl Fn() -> Vec<u32> + Send + Sync + 'static,
        owner: impl Fn(u16, &[u32]) -> Owner + Send + Sync + 'static,
        listening: impl Fn(&[u32]) -> Vec<Address> + Send + Sync + 'static,
    ) -> Sight {
        let (tree, owner, listening) = (Box::new(tree), Box::new(owner), Box::new(listening));
        let (given, main, alone, trying) = (BTreeSet::new(), None, false, None);
        Sight { tree, owner, listening, given, main, alone, trying }
    }

    /// The ports that the run was told to listen on, the main one first: there it is not elsewhere.
    pub fn given(self, ports: &[u16]) -> Sight {
        Sight { given: ports.iter().copied().collect(), main: ports.first().copied(), ..self }
    }

    /// A port counts only when nobody else listens there, on whatever address: for runs that are to become ready.
    pub fn alone(self) -> Sight {
        Sight { alone: true, ..self }
    }

    /// Whether that is so.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// `trying` runs the command of a probe. Dropping the future must end the command.
    pub fn trying<F>(self, trying: impl Fn(Launch) -> F + Send + Sync + 'static) -> Sight
    where
        F: Future<Output = Trial> + Send + 'static,
    {
        Sight { trying: Some(Box::new(move |launch| Box::pin(trying(launch)))), ..self }
    }

    /// Runs the command of a probe.
    pub(super) async fn try_out(&self, launch: Launch) -> Trial {
        match &self.trying {
            Some(trying) => trying(launch).await,
            None => {
                let why = Message::new(Class::Internal, "nobody runs commands of probes");
                Trial { verdict: Verdict::NotStarted(why), said: Vec::new() }
            }
        }
    }

    /// Whose the listener of `port` is.
    pub(super) fn owner(&self, port: u16) -> Owner {
        match (self.owner)(port, &(self.tree)()) {
            // It may have been started after the tree was listed.
            Owner::Foreign(_) | Owner::Shared(..) => (self.owner)(port, &(self.tree)()),
            owner @ (Owner::Ours(_) | Owner::Nobody | Owner::Unknown) => owner,
        }
    }

    /// Whether the main port, if it has one, is among these.
    pub(super) fn main_among(&self, seen: &BTreeSet<Address>) -> bool {
        let mut ports = seen.iter().filter_map(Address::tcp).map(|address| address.port());
        self.main.is_none_or(|main| ports.any(|port| port == main))
    }

    /// Where the run listens on its main port, if it has one and the system shows it.
    pub(super) fn main_port(&self) -> Option<Vec<Address>> {
        match self.owner(self.main?) {
            Owner::Ours(listening) if listening.is_empty() => None,
            Owner::Ours(listening) | Owner::Shared(listening, _) => {
                Some(listening.into_iter().map(Address::Tcp).collect())
            }
            Owner::Foreign(_) | Owner::Nobody => Some(Vec::new()),
            Owner::Unknown => None,
        }
    }

    /// Where the run listens, if that is somewhere that it was not told to.
    pub(super) fn elsewhere(&self) -> Option<Vec<Address>> {
        let listening = (self.listening)(&(self.tree)());
        let strange = |address: &Address| match address {
            Address::Tcp(address) => !self.given.contains(&address.port()),
            Address::Unix(_) => true,
        };
        listening.iter().any(strange).then_some(listening)
    }
}
