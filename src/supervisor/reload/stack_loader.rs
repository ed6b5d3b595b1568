//! Loads configuration files into a stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::config::{self, Config, ConfigSources, DebugServices, DiagnosticList};
use crate::model::{Message, MessageClass, Name, PortKey, ProxyPlace, Stack, StackProxy};
use crate::ports::{
    ConflictAnswer, ConflictPrompt, NetworkInterface, PortAllocator, PortAssignment,
};
use crate::supervisor::kept_data;
use crate::sync::lock_unpoisoned;

pub use super::config_reloader::ConfigReloader;
pub(crate) use super::config_reloader::ReloadTask;
pub use super::load_constraints::LoadConstraints;

/// What came of a change of the configuration.
pub enum ReloadOutcome {
    /// The configuration is valid.
    Stack(LoadedStack),
    /// The last applied configuration, with other services in debug mode.
    Switched(LoadedStack),
    /// The modes cannot be changed: one message for each unavailable port.
    NotSwitched(Vec<Message>),
    /// The configuration is valid but not applied: the stack does not follow edits. Its ports are
    /// only a preview.
    NotLive(Arc<Stack>),
    /// The configuration is invalid; nothing changes.
    Invalid {
        /// Summary in one sentence.
        why: &'static str,
        /// The errors, ready to print.
        text: String,
        /// The files that were read: the next change of one of them may fix it.
        files: BTreeSet<PathBuf>,
    },
    /// Ports that nothing uses any more were released.
    PortsReleased,
    /// The task panicked.
    Panicked(Message),
    /// Other ports were chosen for services that lost one, from the last applied configuration.
    PortsReassigned {
        /// The stack with those ports.
        stack: Arc<Stack>,
        /// Each of these services, and why it cannot have a port.
        outcome: BTreeMap<Name, Result<(), Message>>,
        /// Notes for the user.
        notes: Vec<Message>,
    },
}

pub struct LoadedStack {
    pub stack: Arc<Stack>,
    /// Notes for the user.
    pub notes: Vec<Message>,
    /// The configuration it was made from.
    pub config: Arc<Config>,
    /// Services that were to be in debug mode.
    pub debugged: DebugServices,
}

/// What a new stack is compared with.
#[derive(Debug, Clone)]
pub(crate) struct ReloadBaseline {
    name: String,
    dir: PathBuf,
    live: bool,
    pub(super) files: BTreeSet<PathBuf>,
    pub(super) situation: LoadConstraints,
}

impl ReloadBaseline {
    pub fn of(stack: &Stack, situation: LoadConstraints) -> ReloadBaseline {
        let (name, dir, files) = (stack.name.clone(), stack.dir.clone(), stack.files.clone());
        ReloadBaseline { name, dir, live: stack.live_reload, files, situation }
    }

    /// Returns why the running stack cannot become this configuration.
    fn incompatible(&self, config: &Config) -> Option<Message> {
        if self.name != config.name() {
            let (old, new) = (&self.name, config.name());
            let text = format!("cannot rename the running stack from `{old}` to `{new}`");
            let help = format!(
                "set name = \"{old}\" under [stack], or run `devstack down` and `devstack up`"
            );
            return Some(Message::new(MessageClass::Config, text).help(help));
        }
        (self.dir != config.dir()).then(|| {
            let text = format!(
                "cannot move the running stack from {} to {}",
                self.dir.display(),
                config.dir().display()
            );
            Message::new(MessageClass::Config, text)
                .help("run `devstack down`, then `devstack up` there")
        })
    }
}

/// Makes a stack from the configuration files: at the start, and whenever they change.
#[derive(Clone)]
pub struct StackLoader {
    /// The files, and overrides from the command line.
    pub sources: ConfigSources,
    /// The ports of this stack. Locked only while they are assigned or read.
    pub ports: Arc<Mutex<PortAllocator>>,
    /// Whether diagnostics are colored.
    pub color: bool,
    /// Where its names are; `None`: it has none.
    pub place: Option<ProxyPlace>,
    /// Whether the user has a local CA now; an error is why it cannot be used.
    pub has_ca: fn() -> Result<bool, Message>,
    /// Modifies a stack before it is used.
    pub adapt: fn(&mut Stack),
}

impl StackLoader {
    /// Decides what to do with a configuration that was read.
    pub(super) fn evaluate(
        &self,
        present: &ReloadBaseline,
        read: Result<Config, DiagnosticList>,
    ) -> ReloadOutcome {
        let config = match read {
            Ok(config) => Arc::new(config),
            Err(wrong) => {
                let why = "the configuration is invalid";
                let (text, files) = (wrong.render(self.color), wrong.files().clone());
                return ReloadOutcome::Invalid { why, text, files };
            }
        };
        if let Err(message) = check_hosts(&config) {
            let why = "the configuration is invalid";
            let (text, files) = (message.render(), config.files().clone());
            return ReloadOutcome::Invalid { why, text, files };
        }
        if let Some(message) = present.incompatible(&config) {
            let why = "the stack must be restarted";
            let (text, files) = (message.render(), config.files().clone());
            return ReloadOutcome::Invalid { why, text, files };
        }
        // `live = true` in an edit applies to that edit.
        let loaded = match present.live || config.live_reload() {
            true => self.load(&config, &present.situation).map(ReloadOutcome::Stack),
            false => self
                .preview_ports(&config, &present.situation)
                .map(|(stack, _)| ReloadOutcome::NotLive(stack)),
        };
        loaded.unwrap_or_else(|conflicts| ReloadOutcome::Invalid {
            why: "a requested port is unavailable",
            text: conflicts.iter().map(Message::render).collect(),
            files: config.files().clone(),
        })
    }

    /// Chooses ports without asking the user.
    pub(super) fn load(
        &self,
        config: &Arc<Config>,
        situation: &LoadConstraints,
    ) -> Result<LoadedStack, Vec<Message>> {
        let (stack, notes) =
            self.choose_asking(config, situation, &mut |_| ConflictAnswer::Quit)?;
        // No longer under the lock of the ports.
        kept_data::record(config, &stack);
        let debugged = situation.debugged.clone();
        Ok(LoadedStack { stack, notes, config: config.clone(), debugged })
    }

    /// Chooses ports; asks about unavailable ones where the configuration says so.
    ///
    /// # Errors
    /// One message for each unavailable port.
    pub fn choose_asking(
        &self,
        config: &Config,
        situation: &LoadConstraints,
        ask: &mut dyn FnMut(&ConflictPrompt) -> ConflictAnswer,
    ) -> Result<(Arc<Stack>, Vec<Message>), Vec<Message>> {
        let mut ports = self.ports();
        let assigned =
            situation.with_requests(config, |asked| ports.assign_with_prompt(asked, ask))?;
        let (place, ca_note) = self.place_for(config);
        let notes = config.notes().iter().cloned().chain(ports.notes()).chain(ca_note).collect();
        let stack = self.resolve(config, &assigned, &situation.debugged, place);
        Ok((stack, notes))
    }

    /// Chooses other ports for services that lost one. All others keep theirs in `stack`, and all
    /// keep their mode.
    pub(super) fn reassign(
        &self,
        config: &Config,
        stack: &Stack,
        lost: &BTreeSet<Name>,
        shunned: &BTreeSet<u16>,
    ) -> ReloadOutcome {
        let mut ports = self.ports();
        let others = |name: &Name| !lost.contains(name);
        let mut mine = ports_of(stack, others);
        mine.retain(|key, number| !ports.is_unclaimed(key, *number));
        let idle: BTreeSet<Name> = config.services().filter(|name| others(name)).cloned().collect();
        let debugged = debugged_in(stack);
        let assigned = ports.reassign(&config.port_requests_with(&debugged), &mine, &idle, shunned);
        let stack = self.resolve(config, &assigned, &debugged, self.place_of(stack));
        let refused = |name: &Name| {
            let mut refused = assigned.refused.iter().filter(|(key, _)| key.service == *name);
            refused.next().map_or(Ok(()), |(_, message)| Err(message.clone()))
        };
        let outcome = lost.iter().map(|name| (name.clone(), refused(name))).collect();
        ReloadOutcome::PortsReassigned { stack, outcome, notes: ports.notes() }
    }

    /// Returns the stack and notes that the current files would give; takes and changes nothing.
    ///
    /// # Errors
    /// When the files are invalid (class `config`; the text has several lines), or the ports they
    /// ask for are unavailable.
    pub(super) fn preview(&self, present: &ReloadBaseline) -> PreviewResult {
        let draft = config::load(&self.sources)
            .map_err(|wrong| Message::new(MessageClass::Config, wrong.render(false).trim_end()))?;
        check_hosts(&draft)?;
        match present.incompatible(&draft) {
            Some(message) => Err(message),
            None => self
                .preview_ports(&draft, &present.situation)
                .map_err(|conflicts| join_messages(&conflicts)),
        }
    }

    fn preview_ports(
        &self,
        config: &Config,
        situation: &LoadConstraints,
    ) -> Result<(Arc<Stack>, Vec<Message>), Vec<Message>> {
        let ports = situation.with_requests(config, |asked| self.ports().preview(asked))?;
        let assigned = PortAssignment { ports, ..PortAssignment::default() };
        let (place, ca_note) = self.place_for(config);
        let notes = config.notes().iter().cloned().chain(ca_note).collect();
        Ok((self.resolve(config, &assigned, &situation.debugged, place), notes))
    }

    /// Returns where the names of a configuration that was just read are, and what the user should
    /// know about `https`: addresses follow the CA when the files are read, not when it changes.
    fn place_for(&self, config: &Config) -> (Option<ProxyPlace>, Option<Message>) {
        let Some(place) = &self.place else { return (None, None) };
        let ca = (self.has_ca)();
        let place = ProxyPlace { has_ca: matches!(ca, Ok(true)), ..place.clone() };
        let note = match ca {
            _ if !config.wants_https() => None,
            Ok(true) => None,
            Ok(false) => Some(
                Message::new(MessageClass::Config, "names use http: `https` needs a local CA")
                    .help("run `devstack trust`, then start the stack again"),
            ),
            Err(why) => Some(why),
        };
        (Some(place), note)
    }

    /// Returns where the names of a stack are that keeps its addresses.
    fn place_of(&self, stack: &Stack) -> Option<ProxyPlace> {
        stack.proxy.as_ref().map(StackProxy::place).or_else(|| self.place.clone())
    }

    fn resolve(
        &self,
        config: &Config,
        assigned: &PortAssignment,
        debugged: &DebugServices,
        place: Option<ProxyPlace>,
    ) -> Arc<Stack> {
        let mut stack = config.resolve_with(&assigned.ports, debugged, place.as_ref());
        (self.adapt)(&mut stack);
        Arc::new(stack)
    }

    /// Makes a stack again from its configuration, with the same ports and modes.
    pub(super) fn remake(&self, config: &Config, stack: &Stack) -> Arc<Stack> {
        let ports = stack.ports().map(|(key, port)| (key, port.clone())).collect();
        let assigned = PortAssignment { ports, ..PortAssignment::default() };
        self.resolve(config, &assigned, &debugged_in(stack), self.place_of(stack))
    }

    pub(super) fn ports(&self) -> MutexGuard<'_, PortAllocator> {
        lock_unpoisoned(&self.ports)
    }
}

pub(crate) fn ports_of(stack: &Stack, which: impl Fn(&Name) -> bool) -> BTreeMap<PortKey, u16> {
    let ports = stack.ports().filter(|(key, _)| which(&key.service));
    ports.map(|(key, port)| (key, port.number)).collect()
}

pub(crate) fn debugged_in(stack: &Stack) -> DebugServices {
    let debugged = stack.services.values().filter(|service| service.mode.is_debug());
    debugged.map(|service| service.name.clone()).collect()
}

/// The result of a preview: stack and notes.
pub(crate) type PreviewResult = Result<(Arc<Stack>, Vec<Message>), Message>;

/// Joins several messages into one.
pub fn join_messages(messages: &[Message]) -> Message {
    let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
    let first = messages.first();
    let class = first.map_or(MessageClass::Port, |message| message.class);
    let help = first.map_or("", |message| message.help.as_str());
    Message::new(class, texts.join("; ")).help(help)
}

/// Checks that each service binds to an address of this machine.
///
/// # Errors
/// One message that names the services and the available addresses.
pub fn check_hosts(config: &Config) -> Result<(), Message> {
    let mut known = BTreeMap::new();
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, host) in config.hosts() {
        if known.entry(host).or_insert_with(|| NetworkInterface::check_host(host)).is_err() {
            missing.entry(host).or_default().push(name.as_str());
        }
    }
    let Some((host, names)) = missing.into_iter().next() else { return Ok(()) };
    let possible = known.remove(host).and_then(Result::err).unwrap_or_default();
    let text = format!("{host} is not an address of this machine (host of {})", some(&names));
    let possible: Vec<&str> = possible.iter().map(String::as_str).collect();
    Err(Message::new(MessageClass::Config, text).help(format!(
        "use one of {}, or 0.0.0.0 for all IPv4 addresses, or :: for all addresses",
        some(&possible)
    )))
}

fn some(all: &[&str]) -> String {
    /// This many fit on one line.
    const MOST: usize = 5;
    let more = if all.len() > MOST { ", …" } else { "" };
    format!("{}{more}", all.iter().take(MOST).copied().collect::<Vec<_>>().join(", "))
}
