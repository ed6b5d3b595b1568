//! From configuration files to a stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::steady;
use crate::config::{self, Diagnostics, Draft, Sources};
use crate::engine::Selection;
use crate::model::{Class, Message, Name, OnConflict, PortWish, Service, Stack, Weight};
use crate::ports::{Answer, Asked, Assigned, Dispute, Key, Network, Ports};

/// What became of the configuration after a change.
pub enum Reloaded {
    /// It is good.
    Stack {
        /// The stack that it makes.
        stack: Arc<Stack>,
        /// What was read.
        draft: Arc<Draft>,
        /// What people should know about it.
        notes: Vec<Message>,
    },
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

/// What a choice of ports has to respect.
#[derive(Debug, Clone, Default)]
pub struct Situation {
    /// What services of the stack have and keep.
    pub mine: BTreeMap<Key, u16>,
    /// What `up` was asked to start.
    pub selection: Option<Selection>,
    /// Services that are not wanted, whatever the selection says.
    pub idle: BTreeSet<Name>,
    /// Wishes that are no news: when one of them cannot be granted any more, that is for the start of its service to
    /// tell, and keeps no other change from being applied.
    pub known: Vec<PortWish>,
}

impl Situation {
    /// The services that start with this configuration.
    fn starting(&self, draft: &Draft) -> BTreeSet<Name> {
        let mut starting = match &self.selection {
            None => draft.with_dependencies(draft.autostart().cloned().collect()),
            Some(Selection { names, with_dependencies }) => {
                let names = names.iter().flat_map(|name| draft.named(name)).collect();
                if *with_dependencies { draft.with_dependencies(names) } else { names }
            }
        };
        starting.retain(|name| !self.idle.contains(name));
        starting
    }

    /// Asks `choose` for the ports of a configuration.
    pub fn ask<T>(&self, draft: &Draft, choose: impl FnOnce(&Asked<'_>) -> T) -> T {
        let starting = self.starting(draft);
        let others = draft.services().filter(|name| !starting.contains(*name));
        let idle = others.cloned().collect();
        let insists =
            |wish: &PortWish| starting.contains(&wish.service) && !self.known.contains(wish);
        let (wishes, mine) = (draft.wishes(), &self.mine);
        let shunned = &BTreeSet::new();
        choose(&Asked { wishes, mine, idle: &idle, shunned, insists: &insists })
    }
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
            true => self
                .choose_asking(&draft, &present.situation, &mut |_| Answer::Quit)
                .map(|(stack, notes)| Reloaded::Stack { stack, draft: draft.clone(), notes }),
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
        Ok((self.resolve(draft, &assigned), notes))
    }

    /// Chooses again for services that lost a port; the others keep what they have in `stack`.
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
        let assigned = ports.place(draft.wishes(), &mine, &idle, shunned);
        let stack = self.resolve(draft, &assigned);
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
        Ok((self.resolve(draft, &assigned), draft.notes().to_vec()))
    }

    fn resolve(&self, draft: &Draft, assigned: &Assigned) -> Arc<Stack> {
        let mut stack = draft.resolve(&assigned.ports);
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

/// Follows the configuration, and chooses ports again for services that lost one. One thing at a time: what comes
/// meanwhile is done after it.
pub struct Reloader {
    loader: Loader,
    /// What was applied last: the files may be in the middle of an edit.
    applied: Arc<Draft>,
    busy: bool,
    /// The files have changed since they were last read.
    stale: bool,
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
        let (busy, stale, moved) = (false, false, false);
        let (lost, shunned) = (BTreeSet::new(), BTreeMap::new());
        Reloader { loader, applied, busy, stale, lost, shunned, moved, follows }
    }

    /// The files have changed.
    pub(super) fn reload(&mut self) {
        self.stale = true;
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

    /// Whether something is to be begun.
    pub(super) fn is_due(&self) -> bool {
        !self.busy && (self.stale || !self.lost.is_empty())
    }

    /// The wishes of what was applied last.
    pub(super) fn known(&self) -> Vec<PortWish> {
        self.applied.wishes().to_vec()
    }

    /// Begins what is due, off the loop; the result comes through `tell`.
    pub(super) fn go_on(
        &mut self,
        stack: &Arc<Stack>,
        present: Present,
        tell: &mpsc::UnboundedSender<Reloaded>,
    ) {
        self.busy = true;
        let (loader, tell) = (self.loader.clone(), tell.clone());
        // The files first: they may have brought other ports. The supervisor may have ended when it is done.
        if std::mem::take(&mut self.stale) {
            tokio::spawn(async move {
                let sources = loader.sources.clone();
                let read = move || config::load(&sources);
                let Some(read) = steady::read(present.files.clone(), read).await else { return };
                let judge = move || drop(tell.send(loader.judge(&present, read)));
                tokio::task::spawn_blocking(judge);
            });
        } else {
            let (applied, stack) = (self.applied.clone(), stack.clone());
            let lost = std::mem::take(&mut self.lost);
            let shunned = lost.iter().filter_map(|name| self.shunned.get(name));
            let shunned: BTreeSet<u16> = shunned.flatten().copied().collect();
            let place = move || drop(tell.send(loader.place(&applied, &stack, &lost, &shunned)));
            tokio::task::spawn_blocking(place);
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
