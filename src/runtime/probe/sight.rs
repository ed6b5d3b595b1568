use std::pin::Pin;

use super::{Owner, Trial, Verdict};
use crate::model::{Class, Launch, Message};

type Tree = dyn Fn() -> Vec<u32> + Send + Sync;
type Whose = dyn Fn(u16, &[u32]) -> Owner + Send + Sync;
type Trying = dyn Fn(Launch) -> Pin<Box<dyn Future<Output = Trial> + Send>> + Send + Sync;
type Listening = dyn Fn(&[u32]) -> Vec<u16> + Send + Sync;

/// How probes see the processes and listeners of a run. The functions are called from the probing tasks and
/// should take no longer than a few milliseconds.
pub struct Sight {
    tree: Box<Tree>,
    owner: Box<Whose>,
    listening: Box<Listening>,
    trying: Option<Box<Trying>>,
}

impl Sight {
    /// `tree` gives the live processes of the run, `owner` whose the listener of a port is, seen from such a
    /// list, and `listening` the ports that the processes of such a list listen on without
    /// having been told to.
    pub fn new(
        tree: impl Fn() -> Vec<u32> + Send + Sync + 'static,
        owner: impl Fn(u16, &[u32]) -> Owner + Send + Sync + 'static,
        listening: impl Fn(&[u32]) -> Vec<u16> + Send + Sync + 'static,
    ) -> Sight {
        let (tree, owner, listening) = (Box::new(tree), Box::new(owner), Box::new(listening));
        Sight { tree, owner, listening, trying: None }
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
        (self.owner)(port, &(self.tree)())
    }

    /// The ports that the run listens on without having been told to, ascending.
    pub(super) fn listening(&self) -> Vec<u16> {
        let mut ports = (self.listening)(&(self.tree)());
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}
