use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Message, Name, Port, PortWish, Stack};

use super::book::Book;
use super::build::Builder;
use super::env_file::EnvFiles;
use super::explain::{Explained, explain};
use super::source::Source;
use super::spec::StackSpec;
use super::wishes::Wishes;

/// The services that are to be in debug mode, if they can.
pub type Debugged = BTreeSet<Name>;

/// A checked configuration whose ports are not chosen yet.
#[derive(Debug)]
pub struct Draft {
    pub(super) spec: StackSpec,
    pub(super) env_files: EnvFiles,
    pub(super) outer: BTreeMap<String, String>,
    pub(super) wishes: Wishes,
    pub(super) notes: Vec<Message>,
    pub(super) files: BTreeSet<PathBuf>,
    /// The texts, for whoever asks where something was written.
    pub(super) sources: Vec<Arc<Source>>,
}

impl Draft {
    /// The name of the stack.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The folder of the first file, absolute.
    pub fn dir(&self) -> &Path {
        &self.spec.dir
    }

    /// The names of the services, in their order.
    pub fn services(&self) -> impl Iterator<Item = &Name> {
        self.spec.services.keys()
    }

    /// The names that stand for several services.
    pub fn groups(&self) -> impl Iterator<Item = &Name> {
        self.spec.groups.keys()
    }

    /// The services that a name means: one of that name, or the replicas of one; empty: nobody.
    pub fn named(&self, name: &Name) -> Vec<Name> {
        match (self.spec.groups.get(name), self.spec.services.get(name)) {
            (Some(members), _) => members.clone(),
            (None, Some(service)) => vec![service.name.clone()],
            (None, None) => Vec::new(),
        }
    }

    /// The services that `up` starts without being asked for them by name.
    pub fn autostart(&self) -> impl Iterator<Item = &Name> {
        let auto = self.spec.services.iter().filter(|(_, service)| service.autostart);
        auto.map(|(name, _)| name)
    }

    /// These services and all that they depend on.
    pub fn with_dependencies(&self, names: BTreeSet<Name>) -> BTreeSet<Name> {
        let mut open: Vec<Name> = names.iter().cloned().collect();
        let mut found = names;
        while let Some(service) = open.pop().and_then(|name| self.spec.services.get(&name)) {
            for need in service.depends_on.keys().flat_map(|need| self.named(need)) {
                if found.insert(need.clone()) {
                    open.push(need);
                }
            }
        }
        found
    }

    /// The address that each service is told to bind, by name.
    pub fn hosts(&self) -> impl Iterator<Item = (&Name, &str)> {
        self.spec.services.iter().map(|(name, service)| (name, service.host.as_str()))
    }

    /// Every port that is wished for in run mode, by service in the order of names, main ports first.
    pub fn wishes(&self) -> &[PortWish] {
        &self.wishes.always
    }

    /// The same, then the debuggers' ports of the services in debug mode.
    pub fn wishes_with(&self, debugged: &Debugged) -> Vec<PortWish> {
        let debug = self.wishes.debug.iter().filter(|wish| debugged.contains(&wish.service));
        self.wishes.always.iter().chain(debug).cloned().collect()
    }

    /// The services that can be started for a debugger, in their order.
    pub fn debuggable(&self) -> impl Iterator<Item = &Name> {
        let services = self.spec.services.iter();
        services.filter(|(_, service)| service.debug.is_some()).map(|(name, _)| name)
    }

    /// Whether a change of its files is applied while the stack runs.
    pub fn live(&self) -> bool {
        self.spec.live
    }

    /// Every file that was read or looked for.
    pub fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// What people should know and need not mend.
    pub fn notes(&self) -> &[Message] {
        &self.notes
    }

    /// The stack as it is meant, with the ports that were chosen, by service and name of the port.
    /// A port that is missing in `ports` gets the number that was written for it; whoever chooses
    /// answers every wish, so that this is for tests only.
    pub fn resolve(&self, ports: &BTreeMap<(Name, String), Port>) -> Stack {
        self.resolve_with(ports, &Debugged::new())
    }

    /// The same with some services in debug mode: those of `debugged` that have a `debug` entry.
    pub fn resolve_with(
        &self,
        ports: &BTreeMap<(Name, String), Port>,
        debugged: &Debugged,
    ) -> Stack {
        let book = Book::new(&self.spec, ports);
        let builder = self.builder(&book, ports);
        let services = self.spec.services.iter().map(|(name, spec)| {
            // Loading has built every service once; no text can fail now.
            let debugged = debugged.contains(name);
            (name.clone(), Arc::new(builder.build(spec, debugged).service))
        });
        Stack {
            name: self.spec.name.clone(),
            dir: self.spec.dir.clone(),
            services: services.collect(),
            primary: self.spec.primary.clone(),
            groups: self.spec.groups.clone(),
            files: self.files.clone(),
            live: self.spec.live,
            logs: self.spec.logs,
        }
    }

    /// Where the variables of a service come from, when the ports are these: the values that it has in a stack which
    /// was made of this, and those that they hide. Empty for a service that is not here.
    pub fn explain(
        &self,
        service: &Name,
        ports: &BTreeMap<(Name, String), Port>,
        debugged: bool,
    ) -> Explained {
        let book = Book::new(&self.spec, ports);
        let builder = self.builder(&book, ports);
        let spec = self.spec.services.get(service);
        spec.map(|spec| explain(&builder, spec, debugged, &self.sources)).unwrap_or_default()
    }

    fn builder<'a>(
        &'a self,
        book: &'a Book<'a>,
        ports: &'a BTreeMap<(Name, String), Port>,
    ) -> Builder<'a> {
        let (spec, files, outer) = (&self.spec, &self.env_files, &self.outer);
        Builder { spec, files, outer, book, ports }
    }
}
