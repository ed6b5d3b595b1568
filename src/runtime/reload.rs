//! From configuration files to a stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{self, Debugged, Diagnostics, Draft, Sources};
use crate::model::{Class, Message, Name, Stack};
use crate::ports::{Answer, Assigned, Dispute, Key, Network, Ports};

mod reloader;
mod situation;

pub use reloader::Reloader;
pub(super) use reloader::Task;
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
