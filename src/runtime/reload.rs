//! From configuration files to a stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::config::{self, Draft, Sources};
use crate::model::{Class, Message, Name, Stack};
use crate::ports::{Network, Ports};

/// What became of the configuration after a change.
pub enum Reloaded {
    /// It is good; with what people should know about it.
    Stack(Arc<Stack>, Vec<Message>),
    /// It has mistakes, and nothing changes.
    Broken {
        /// What is the matter, in one sentence.
        why: &'static str,
        /// What is wrong, ready to be shown.
        text: String,
        /// The files that were read: the next change of one of them may mend it.
        files: BTreeSet<PathBuf>,
    },
}

/// Makes a stack out of the configuration files: once at the start, and again when they change.
#[derive(Clone)]
pub struct Loader {
    /// Which files, and what the command line says about them.
    pub sources: Sources,
    /// The ports of this stack. Locked only while they are assigned.
    pub ports: Arc<Mutex<Ports>>,
    /// Whether diagnostics are shown in colour.
    pub color: bool,
    /// Changes a stack before it is used.
    pub adapt: fn(&mut Stack),
}

impl Loader {
    /// Reads the files and chooses ports. `mine`: what this stack's services hold already.
    pub fn load(&self, mine: &BTreeMap<(Name, String), u16>) -> Reloaded {
        match config::load(&self.sources) {
            Ok(draft) => self.choose(&draft, mine),
            Err(wrong) => {
                let why = "the configuration has a mistake";
                let (text, files) = (wrong.render(self.color), wrong.files().clone());
                Reloaded::Broken { why, text, files }
            }
        }
    }

    /// Chooses the ports of what was read.
    pub fn choose(&self, draft: &Draft, mine: &BTreeMap<(Name, String), u16>) -> Reloaded {
        if let Err(message) = hosts_exist(draft) {
            return Reloaded::Broken {
                why: "the configuration has a mistake",
                text: crate::error::shown(&message),
                files: draft.files().clone(),
            };
        }
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let mut notes = draft.notes().to_vec();
        match ports.assign(draft.wishes(), mine) {
            Ok(chosen) => {
                let mut stack = draft.resolve(&chosen);
                (self.adapt)(&mut stack);
                notes.extend(ports.notes());
                Reloaded::Stack(Arc::new(stack), notes)
            }
            Err(conflicts) => Reloaded::Broken {
                why: "a port that it asks for cannot be had",
                text: conflicts.iter().map(crate::error::shown).collect(),
                files: draft.files().clone(),
            },
        }
    }
}

/// Whether each service is told to bind an address that this machine has.
///
/// # Errors
/// One message that names the services, and what they could bind.
pub fn hosts_exist(draft: &Draft) -> Result<(), Message> {
    let mut known = BTreeMap::new();
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, host) in draft.hosts() {
        if known.entry(host).or_insert_with(|| Network::has(host)).is_err() {
            missing.entry(host).or_default().push(name.as_str());
        }
    }
    let Some((host, names)) = missing.into_iter().next() else { return Ok(()) };
    let possible = known.remove(host).and_then(Result::err).unwrap_or_default();
    let text = format!("{host} is no address of this machine (host of {})", some(&names));
    let possible: Vec<&str> = possible.iter().map(String::as_str).collect();
    Err(Message::new(Class::Config, text)
        .help(format!("there are {}; 0.0.0.0 is all of IPv4, and :: all of them", some(&possible))))
}

/// The first few of a list.
fn some(all: &[&str]) -> String {
    /// What is read in one line.
    const MOST: usize = 5;
    let more = if all.len() > MOST { ", …" } else { "" };
    format!("{}{more}", all.iter().take(MOST).copied().collect::<Vec<_>>().join(", "))
}

/// Follows the configuration: one load at a time, and another when something changed meanwhile.
pub struct Reloader {
    loader: Loader,
    state: Loading,
    /// Whether there was a reload: before that, every port is in use.
    moved: bool,
}

enum Loading {
    Idle,
    Busy,
    BusyAndStale,
}

impl Reloader {
    /// Nothing to do yet.
    pub fn new(loader: Loader) -> Reloader {
        Reloader { loader, state: Loading::Idle, moved: false }
    }

    /// Loads off the loop; the result comes through `tell`.
    pub(super) fn reload(
        &mut self,
        stack: &Stack,
        running: &BTreeSet<Name>,
        tell: mpsc::UnboundedSender<Reloaded>,
    ) {
        match self.state {
            Loading::Idle => self.state = Loading::Busy,
            Loading::Busy | Loading::BusyAndStale => {
                self.state = Loading::BusyAndStale;
                return;
            }
        }
        let loader = self.loader.clone();
        let mine = held_ports(stack, running);
        tokio::task::spawn_blocking(move || {
            // The supervisor may have ended meanwhile.
            let _ = tell.send(loader.load(&mine));
        });
    }

    /// The load is over; whether another one is due.
    pub(super) fn finished(&mut self) -> bool {
        self.moved = true;
        let stale = matches!(self.state, Loading::BusyAndStale);
        self.state = Loading::Idle;
        stale
    }

    /// Gives back ports that `stack` does not use, after a reload: called when a run is over, which
    /// may have been the last one on such a port.
    pub(super) fn release_unused(&self, stack: &Stack) {
        if !self.moved {
            return;
        }
        let used = stack.services.iter().flat_map(|(name, service)| {
            service.ports.iter().map(|port| ((name.clone(), port.name.clone()), port.clone()))
        });
        let mut ports = self.loader.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.release_unused(&used.collect());
    }
}

fn held_ports(stack: &Stack, running: &BTreeSet<Name>) -> BTreeMap<(Name, String), u16> {
    let running = stack.services.iter().filter(|(name, _)| running.contains(*name));
    let ports = running.flat_map(|(name, service)| {
        service.ports.iter().map(|port| ((name.clone(), port.name.clone()), port.number))
    });
    ports.collect()
}
