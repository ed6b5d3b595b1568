//! From configuration files to a stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::steady;
use crate::config::{self, Diagnostics, Draft, Sources};
use crate::model::{Class, Message, Name, Stack};
use crate::ports::{Answer, Dispute, Network, Ports};

/// What became of the configuration after a change.
pub enum Reloaded {
    /// It is good; with what people should know about it.
    Stack(Arc<Stack>, Vec<Message>),
    /// It is good, and is not applied: the stack does not follow edits. Its ports are only thought of.
    Waits(Arc<Stack>),
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

/// What runs, as far as it matters for what may come.
#[derive(Debug, Clone)]
pub(super) struct Present {
    name: String,
    dir: PathBuf,
    live: bool,
    files: BTreeSet<PathBuf>,
    /// What its services hold.
    ports: BTreeMap<(Name, String), u16>,
}

impl Present {
    /// What runs of `stack`.
    pub fn of(stack: &Stack, running: &BTreeSet<Name>) -> Present {
        let running = stack.services.iter().filter(|(name, _)| running.contains(*name));
        let ports = running.flat_map(|(name, service)| {
            service.ports.iter().map(|port| ((name.clone(), port.name.clone()), port.number))
        });
        let (name, dir, files) = (stack.name.clone(), stack.dir.clone(), stack.files.clone());
        Present { name, dir, live: stack.live, files, ports: ports.collect() }
    }

    /// Why this stack cannot become what `draft` says while it runs.
    fn refuses(&self, draft: &Draft) -> Option<Message> {
        if self.name != draft.name() {
            let (old, new) = (&self.name, draft.name());
            let text = format!("the stack runs as `{old}` and cannot become `{new}`");
            let help = format!(
                "write name = \"{old}\" under [stack], or `devstack down` and `devstack up`"
            );
            return Some(Message::new(Class::Config, text).help(help));
        }
        (self.dir != draft.dir()).then(|| {
            let text = format!(
                "the stack runs in {} and cannot move to {}",
                self.dir.display(),
                draft.dir().display()
            );
            Message::new(Class::Config, text).help("`devstack down`, then `devstack up` there")
        })
    }
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
    /// What becomes of the running stack by what was read.
    fn judge(&self, present: &Present, read: Result<Draft, Diagnostics>) -> Reloaded {
        let draft = match read {
            Ok(draft) => draft,
            Err(wrong) => {
                let why = "the configuration has a mistake";
                let (text, files) = (wrong.render(self.color), wrong.files().clone());
                return Reloaded::Broken { why, text, files };
            }
        };
        if let Err(message) = hosts_exist(&draft) {
            let why = "the configuration has a mistake";
            let (text, files) = (crate::error::shown(&message), draft.files().clone());
            return Reloaded::Broken { why, text, files };
        }
        if let Some(message) = present.refuses(&draft) {
            let why = "this needs another start";
            let (text, files) = (crate::error::shown(&message), draft.files().clone());
            return Reloaded::Broken { why, text, files };
        }
        // Who writes `live = true` wants what is written.
        let loaded = match present.live || draft.live() {
            true => self
                .choose(&draft, &present.ports)
                .map(|(stack, notes)| Reloaded::Stack(stack, notes)),
            false => self.think(&draft, &present.ports).map(|(stack, _)| Reloaded::Waits(stack)),
        };
        loaded.unwrap_or_else(|conflicts| Reloaded::Broken {
            why: "a port that it asks for cannot be had",
            text: conflicts.iter().map(crate::error::shown).collect(),
            files: draft.files().clone(),
        })
    }

    /// Chooses the ports of what was read. `mine`: what this stack's services hold already.
    ///
    /// # Errors
    /// One message for each port that cannot be had.
    pub fn choose(
        &self,
        draft: &Draft,
        mine: &BTreeMap<(Name, String), u16>,
    ) -> Result<(Arc<Stack>, Vec<Message>), Vec<Message>> {
        self.choose_asking(draft, mine, &mut |_| Answer::Quit)
    }

    /// The same, but asks about a port that cannot be had where the configuration says so.
    ///
    /// # Errors
    /// One message for each port that cannot be had.
    pub fn choose_asking(
        &self,
        draft: &Draft,
        mine: &BTreeMap<(Name, String), u16>,
        ask: &mut dyn FnMut(&Dispute) -> Answer,
    ) -> Result<(Arc<Stack>, Vec<Message>), Vec<Message>> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let mut notes = draft.notes().to_vec();
        let chosen = ports.assign_asking(draft.wishes(), mine, ask)?;
        let mut stack = draft.resolve(&chosen);
        (self.adapt)(&mut stack);
        notes.extend(ports.notes());
        Ok((Arc::new(stack), notes))
    }

    /// What the files would make, and what people should know about it; takes nothing and changes nothing.
    ///
    /// # Errors
    /// They have mistakes (class `config`; the text has several lines), or cannot have the ports they want.
    fn preview(&self, present: &Present) -> Previewed {
        let draft = config::load(&self.sources)
            .map_err(|wrong| Message::new(Class::Config, wrong.render(false).trim_end()))?;
        hosts_exist(&draft)?;
        match present.refuses(&draft) {
            Some(message) => Err(message),
            None => self.think(&draft, &present.ports).map_err(|conflicts| joined(&conflicts)),
        }
    }

    fn think(
        &self,
        draft: &Draft,
        mine: &BTreeMap<(Name, String), u16>,
    ) -> Result<(Arc<Stack>, Vec<Message>), Vec<Message>> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = ports.preview(draft.wishes(), mine)?;
        let mut stack = draft.resolve(&chosen);
        (self.adapt)(&mut stack);
        Ok((Arc::new(stack), draft.notes().to_vec()))
    }
}

/// What a look at the files found.
pub(super) type Previewed = Result<(Arc<Stack>, Vec<Message>), Message>;

/// Several messages as one.
pub fn joined(messages: &[Message]) -> Message {
    let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
    let first = messages.first();
    let class = first.map_or(Class::Port, |message| message.class);
    let help = first.map_or("", |message| message.help.as_str());
    Message::new(class, texts.join("; ")).help(help)
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
    /// Whether the files are followed at all.
    pub(super) follows: bool,
}

enum Loading {
    Idle,
    Busy,
    BusyAndStale,
}

impl Reloader {
    /// Nothing to do yet. `follows`: whether anybody tells of changes.
    pub fn new(loader: Loader, follows: bool) -> Reloader {
        Reloader { loader, state: Loading::Idle, moved: false, follows }
    }

    /// Loads off the loop; the result comes through `tell`.
    pub(super) fn reload(&mut self, present: Present, tell: mpsc::UnboundedSender<Reloaded>) {
        match self.state {
            Loading::Idle => self.state = Loading::Busy,
            Loading::Busy | Loading::BusyAndStale => {
                self.state = Loading::BusyAndStale;
                return;
            }
        }
        let loader = self.loader.clone();
        tokio::spawn(async move {
            let sources = loader.sources.clone();
            let read = steady::read(present.files.clone(), move || config::load(&sources)).await;
            let Some(read) = read else { return };
            // The supervisor may have ended meanwhile.
            let judge = move || drop(tell.send(loader.judge(&present, read)));
            tokio::task::spawn_blocking(judge);
        });
    }

    /// Looks at the files off the loop; `tell` gets what they would make.
    pub(super) fn preview(&self, present: Present, tell: impl FnOnce(Previewed) + Send + 'static) {
        let loader = self.loader.clone();
        tokio::task::spawn_blocking(move || tell(loader.preview(&present)));
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
