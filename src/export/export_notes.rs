use std::collections::BTreeMap;

use crate::model::{ConflictPolicy, Name, OnExit, PortableService, PortableStack, TtyMode};
use crate::text::{join, one_line};

/// What an export cannot say, and what is left to do before it can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportNotes {
    /// The name of the format, as in the command.
    format: &'static str,
    /// What is left to do, one line each.
    steps: Vec<String>,
    /// What is not carried over, and of which services; of none: of the stack.
    losses: BTreeMap<String, Vec<Name>>,
}

impl ExportNotes {
    /// Starts with what no other format has.
    pub(super) fn new(format: &'static str, stack: &PortableStack) -> ExportNotes {
        let mut notes = ExportNotes { format, ..ExportNotes::default() };
        if !stack.live_reload {
            notes.losses.insert("`live`".to_owned(), Vec::new());
        }
        for service in stack.services.values() {
            notes.add_common(service);
        }
        notes
    }

    fn add_common(&mut self, service: &PortableService) {
        let ports = || service.ports.iter();
        let moves = ports().any(|port| port.on_conflict != ConflictPolicy::Next);
        let found = [
            ("`watch`", service.watches),
            ("`debug`", service.debuggable),
            ("`color`", service.colored),
            ("`on_conflict`", moves),
            ("`port = \"auto\"`: the number is fixed", self.fixes_ports(service)),
            ("`tty = true`", service.tty == TtyMode::Yes && self.format != "compose"),
            ("`on_exit = \"shutdown\"`", service.on_exit == OnExit::Shutdown),
        ];
        for (what, _) in found.into_iter().filter(|(_, found)| *found) {
            self.lose(what, service);
        }
    }

    /// Whether it gets a number for a port that may have any. Compose can leave it open.
    fn fixes_ports(&self, service: &PortableService) -> bool {
        matches!(self.format, "procfile" | "systemd")
            && service.ports.iter().any(|port| port.wanted.is_none())
    }

    /// Adds what a service loses.
    pub(super) fn lose(&mut self, what: impl Into<String>, service: &PortableService) {
        let services = self.losses.entry(what.into()).or_default();
        if !services.contains(&service.name) {
            services.push(service.name.clone());
        }
    }

    /// Adds what is left to do; the same only once.
    pub(super) fn step(&mut self, step: impl Into<String>) {
        let step = step.into();
        if !self.steps.contains(&step) {
            self.steps.push(step);
        }
    }

    /// Returns the lines for a person: first what to do, then what is lost.
    pub fn lines(&self) -> Vec<String> {
        let loss = |(what, services): (&String, &Vec<Name>)| match services.is_empty() {
            true => format!("not carried over: {what}"),
            false => format!("not carried over: {what} ({})", join(services, ", ")),
        };
        let steps = self.steps.iter().cloned();
        let lines = steps.chain(self.losses.iter().map(loss));
        // Names of variables and files are in them.
        lines.map(|line| one_line(&line)).collect()
    }

    /// Returns them as comments, as every format here writes them: after a `#`.
    pub(super) fn comment(&self) -> String {
        let mut text = format!("# Written by `devstack export {}` from devstack.toml.\n", self.format);
        for line in self.lines() {
            text += &format!("# {line}\n");
        }
        text
    }
}
