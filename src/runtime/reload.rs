//! From configuration files to a stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::steady;
use crate::config::{self, Debugged, Diagnostics, Draft, Sources};
use crate::model::{Class, Message, Name, OnConflict, PortWish, Service, Stack, Weight};
use crate::ports::{Answer, Assigned, Dispute, Key, Network, Ports};

mod situation;

pub use situation::Situation;

/// What became of the configuration after a change.
pub enum Reloaded {
    /// It is good.
    Stack(Made),
    /// What was applied last, with other services in debug mode.
    Switched(Made),
    /// That cannot be: why, one message for each port that cannot be had.
    NotSwitched(Vec<Message>),
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
    /// Ports were chosen again for services that lost one, by the configuration that was applied last.
    Placed {
        /// The stack with those ports.
        stack: Arc<Stack>,
        /// Each of these services, and why it cannot have a port.
        outcome: BTreeMap<Name, Result<(), Message>>,
        /// What people should know about it.
        notes: Vec<Message>,
    },
}

/// A stack that was made.
pub struct Made {
    /// The stack.
    pub stack: Arc<Stack>,
    /// What people should know about it.
    pub notes: Vec<Message>,
    /// What it was made of.
    pub draft: Arc<Draft>,
    /// Which services were to be in debug mode.
    pub debugged: Debugged,
}

/// What runs, as far as it matters for what may come.
#[derive(Debug, Clone)]
pub(super) struct Present {
    name: String,
    dir: PathBuf,
    live: bool,
    files: BTreeSet<PathBuf>,
    situation: Situation,
}

impl Present {
    /// What runs of `stack`.
    pub fn of(stack: &Stack, situation: Situation) -> Present {
        let (name, dir, files) = (stack.name.clone(), stack.dir.clone(), stack.files.clone());
        Present { name, dir, live: stack.live, files, situation }
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
    /// The ports of this stack. Locked only while they are assigned or looked at.
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
            Ok(draft) => Arc::new(draft),
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
            true => self.make(&draft, &present.situation).map(Reloaded::Stack),
            false => {
                self.think(&draft, &present.situation).map(|(stack, _)| Reloaded::Waits(stack))
            }
        };
        loaded.unwrap_or_else(|conflicts| Reloaded::Broken {
            why: "a port that it asks for cannot be had",
            text: conflicts.iter().map(crate::error::shown).collect(),
            files: draft.files().clone(),
        })
    }

    /// Chooses the ports of what was read.
    fn make(&self, draft: &Arc<Draft>, situation: &Situation) -> Result<Made, Vec<Message>> {
        let (stack, notes) = self.choose_asking(draft, situation, &mut |_| Answer::Quit)?;
        let debugged = situation.debugged.clone();
        Ok(Made { stack, notes, draft: draft.clone(), debugged })
    }

    /// Chooses the ports of what was read; asks about one that cannot be had where the configuration says so.
    ///
    /// # Errors
    /// One message for each port that cannot be had.
    pub fn choose_asking(
        &self,
        draft: &Draft,
        situation: &Situation,
        ask: &mut dyn FnMut(&Dispute) -> Answer,
    ) -> Result<(Arc<Stack>, Vec<Message>), Vec<Message>> {
        let mut ports = self.ports();
        let assigned = situation.ask(draft, |asked| ports.assign_asking(asked, ask))?;
        let notes = draft.notes().iter().cloned().chain(ports.notes()).collect();
        Ok((self.resolve(draft, &assigned, &situation.debugged), notes))
    }

    /// Chooses again for services that lost a port; the others keep what they have in `stack`, and
    /// all are in the mode that they have there.
    fn place(
        &self,
        draft: &Draft,
        stack: &Stack,
        lost: &BTreeSet<Name>,
        shunned: &BTreeSet<u16>,
    ) -> Reloaded {
        let mut ports = self.ports();
        let others = |name: &Name| !lost.contains(name);
        let mut mine = ports_of(stack, others);
        mine.retain(|key, number| !ports.is_unclaimed(key, *number));
        let idle: BTreeSet<Name> = draft.services().filter(|name| others(name)).cloned().collect();
        let debugged = debugged_in(stack);
        let assigned = ports.place(&draft.wishes_with(&debugged), &mine, &idle, shunned);
        let stack = self.resolve(draft, &assigned, &debugged);
        let refused = |name: &Name| {
            let mut refused = assigned.refused.iter().filter(|((service, _), _)| service == name);
            refused.next().map_or(Ok(()), |(_, message)| Err(message.clone()))
        };
        let outcome = lost.iter().map(|name| (name.clone(), refused(name))).collect();
        Reloaded::Placed { stack, outcome, notes: ports.notes() }
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
            None => self.think(&draft, &present.situation).map_err(|conflicts| joined(&conflicts)),
        }
    }

    fn think(
        &self,
        draft: &Draft,
        situation: &Situation,
    ) -> Result<(Arc<Stack>, Vec<Message>), Vec<Message>> {
        let ports = situation.ask(draft, |asked| self.ports().preview(asked))?;
        let assigned = Assigned { ports, ..Assigned::default() };
        Ok((self.resolve(draft, &assigned, &situation.debugged), draft.notes().to_vec()))
    }

    fn resolve(&self, draft: &Draft, assigned: &Assigned, debugged: &Debugged) -> Arc<Stack> {
        let mut stack = draft.resolve_with(&assigned.ports, debugged);
        (self.adapt)(&mut stack);
        Arc::new(stack)
    }

    fn ports(&self) -> MutexGuard<'_, Ports> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ports of these services of a stack.
pub(super) fn ports_of(stack: &Stack, which: impl Fn(&Name) -> bool) -> BTreeMap<Key, u16> {
    let services = stack.services.iter().filter(|(name, _)| which(name));
    let ports = services.flat_map(|(name, service)| {
        service.ports.iter().map(|port| ((name.clone(), port.name.clone()), port.number))
    });
    ports.collect()
}

/// The services of a stack that are in debug mode, or are to be.
pub(super) fn debugged_in(stack: &Stack) -> Debugged {
    let debugged = stack.services.values().filter(|service| service.mode.is_debug());
    debugged.map(|service| service.name.clone()).collect()
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

/// Something that is done off the loop.
pub(super) enum Task {
    /// Read the files again.
    Read,
    /// Put other services into debug mode.
    Switch,
    /// Choose ports again for services that lost one.
    Place,
}

/// Follows the configuration, makes stacks in which other services are in debug mode, and chooses ports again for
/// services that lost one. One thing at a time: what comes meanwhile is done after it.
pub struct Reloader {
    loader: Loader,
    /// What was applied last: the files may be in the middle of an edit.
    applied: Arc<Draft>,
    busy: bool,
    /// The files have changed since they were last read.
    stale: bool,
    /// Other services are to be in debug mode.
    switching: bool,
    /// Services that need other ports.
    lost: BTreeSet<Name>,
    /// Numbers that services could not bind although nobody listens there, since they were ready last.
    shunned: BTreeMap<Name, BTreeSet<u16>>,
    /// Whether ports were chosen again: before that, every one is in use.
    moved: bool,
    /// Whether the files are followed at all.
    pub(super) follows: bool,
}

impl Reloader {
    /// Nothing to do yet; `applied` is what the first stack was made of. `follows`: whether anybody tells of changes.
    pub fn new(loader: Loader, applied: Arc<Draft>, follows: bool) -> Reloader {
        let (busy, stale, switching, moved) = (false, false, false, false);
        let (lost, shunned) = (BTreeSet::new(), BTreeMap::new());
        Reloader { loader, applied, busy, stale, switching, lost, shunned, moved, follows }
    }

    /// The files have changed.
    pub(super) fn reload(&mut self) {
        self.stale = true;
    }

    /// Other services are to be in debug mode.
    pub(super) fn switch(&mut self) {
        self.switching = true;
    }

    /// A service needs other ports.
    pub(super) fn place(&mut self, name: Name) {
        self.lost.insert(name);
    }

    /// A service cannot bind `port`, which it has, although nobody listens there. Whether it may have another one;
    /// then this is not chosen again for it until it is ready.
    pub(super) fn shun(&mut self, service: &Service, port: u16) -> bool {
        let named = service.ports.iter().find(|one| one.number == port).map(|one| &one.name);
        let mut wishes = self.applied.wishes().iter();
        let wish = wishes.find(|wish| wish.service == service.name && Some(&wish.port) == named);
        let moves = wish.is_some_and(|wish| match (wish.weight, wish.on_conflict) {
            (Weight::Any, _) | (Weight::Preferred, OnConflict::Next | OnConflict::Auto) => true,
            (Weight::Preferred, OnConflict::Fail | OnConflict::Ask | OnConflict::Strict) => false,
            (Weight::Pinned, _) => false,
        });
        if moves {
            self.shunned.entry(service.name.clone()).or_default().insert(port);
        }
        moves
    }

    /// A service is ready: what it could not bind before may be free again.
    pub(super) fn forgive(&mut self, name: &Name) {
        self.shunned.remove(name);
    }

    /// What is to be begun now, if anything is.
    pub(super) fn due(&self) -> Option<Task> {
        match (self.busy, self.stale, self.switching) {
            (true, _, _) => None,
            // The files first: they may have brought other ports.
            (false, true, _) => Some(Task::Read),
            (false, false, true) => Some(Task::Switch),
            (false, false, false) => (!self.lost.is_empty()).then_some(Task::Place),
        }
    }

    /// The wishes of what was applied last, with these services in debug mode.
    pub(super) fn known(&self, debugged: &Debugged) -> Vec<PortWish> {
        self.applied.wishes_with(debugged)
    }

    /// Begins what is due, off the loop; the result comes through `tell`. `stack`: the one that `present` is about.
    pub(super) fn begin(
        &mut self,
        task: Task,
        stack: &Arc<Stack>,
        present: Present,
        tell: &mpsc::UnboundedSender<Reloaded>,
    ) {
        self.busy = true;
        let (loader, applied) = (self.loader.clone(), self.applied.clone());
        // The supervisor may have ended when it is done.
        let (stack, tell) = (stack.clone(), tell.clone());
        match task {
            Task::Read => {
                self.stale = false;
                tokio::spawn(async move {
                    let sources = loader.sources.clone();
                    let read = move || config::load(&sources);
                    let Some(read) = steady::read(present.files.clone(), read).await else {
                        return;
                    };
                    let judge = move || drop(tell.send(loader.judge(&present, read)));
                    tokio::task::spawn_blocking(judge);
                });
            }
            Task::Switch => {
                self.switching = false;
                let make = move || loader.make(&applied, &present.situation);
                let made = move || make().map_or_else(Reloaded::NotSwitched, Reloaded::Switched);
                tokio::task::spawn_blocking(move || drop(tell.send(made())));
            }
            Task::Place => {
                let lost = std::mem::take(&mut self.lost);
                let shunned = lost.iter().filter_map(|name| self.shunned.get(name));
                let shunned: BTreeSet<u16> = shunned.flatten().copied().collect();
                let place =
                    move || drop(tell.send(loader.place(&applied, &stack, &lost, &shunned)));
                tokio::task::spawn_blocking(place);
            }
        }
    }

    /// Looks at the files off the loop; `tell` gets what they would make.
    pub(super) fn preview(&self, present: Present, tell: impl FnOnce(Previewed) + Send + 'static) {
        let loader = self.loader.clone();
        tokio::task::spawn_blocking(move || tell(loader.preview(&present)));
    }

    /// What was begun is over. `draft`: it was read and is applied.
    pub(super) fn finished(&mut self, draft: Option<&Arc<Draft>>) {
        self.moved = true;
        self.busy = false;
        if let Some(draft) = draft {
            self.applied = draft.clone();
        }
    }

    /// The ports of this stack.
    pub(super) fn ports(&self) -> MutexGuard<'_, Ports> {
        self.loader.ports()
    }

    /// Gives back ports that neither `stack` nor a process that still lives uses, once ports were chosen again: called
    /// when a run is over, which may have been the last one on such a port.
    pub(super) fn release_unused(&self, stack: &Stack, leaving: &BTreeSet<u16>) {
        // What is being chosen now is not in the stack yet.
        if !self.moved || self.busy {
            return;
        }
        let used = stack.services.iter().flat_map(|(name, service)| {
            service.ports.iter().map(|port| ((name.clone(), port.name.clone()), port.clone()))
        });
        self.ports().release_unused(&used.collect(), leaving);
    }
}
