use std::collections::BTreeMap;

use crate::model::{
    ConflictPolicy, LogRetention, Name, OnExit, PortableService, PortableStack, RestartConfig,
    TtyMode,
};
use crate::text::{join, one_line};

/// What an export cannot say, and what is left to do before it can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportNotes {
    /// The name of the format, as in the command.
    format: &'static str,
    /// The name of the file that says what the stack is.
    file_name: String,
    /// What is left to do, and for which services.
    steps: Vec<(String, Vec<Name>)>,
    /// What is not carried over, and of which services; of none: of the stack.
    losses: BTreeMap<String, Vec<Name>>,
}

impl ExportNotes {
    /// Starts with what no other format has.
    pub(super) fn new(format: &'static str, stack: &PortableStack) -> ExportNotes {
        let mut notes =
            ExportNotes { format, file_name: one_line(&stack.file_name), ..ExportNotes::default() };
        if !stack.live_reload {
            notes.losses.insert("`live`".to_owned(), Vec::new());
        }
        if stack.logs != LogRetention::default() {
            notes.losses.insert("`logs`".to_owned(), Vec::new());
        }
        for name in &stack.left_out {
            let what = "containers: start them with `devstack up`".to_owned();
            notes.losses.entry(what).or_default().push(name.clone());
        }
        for service in stack.services.values() {
            notes.add_common(service);
        }
        notes
    }

    fn add_common(&mut self, service: &PortableService) {
        let ports = || service.ports.iter();
        let moves = ports().any(|port| port.on_conflict != ConflictPolicy::Next);
        let (in_compose, in_systemd) = (self.format == "compose", self.format == "systemd");
        let found = [
            ("`watch`", service.watches),
            ("`debug`", service.debuggable),
            ("`color`", service.colored),
            ("tables for other systems", service.differs_elsewhere),
            ("`on_conflict`", moves),
            ("`port.env`", ports().any(|port| port.variable.is_some())),
            ("`restart`: its delays and limits", self.loses_restart(&service.restart)),
            ("`port = \"auto\"`: the number is fixed", self.fixes_ports(service)),
            ("`tty = true`", service.tty == TtyMode::Yes && !in_compose),
            ("`start = \"lazy\"` and `idle`", service.lazy),
            ("`actions`", service.has_actions),
            ("`on_exit = \"shutdown\"`", service.on_exit == OnExit::Shutdown),
            ("`profiles`", !service.profiles.is_empty() && !in_compose),
            ("`success_codes`", service.success_codes.iter().ne([&0]) && !in_systemd),
            ("`port.pass`", ports().any(|port| port.activated) && !in_systemd),
        ];
        self.lose_those(service, &found);
    }

    /// Whether it gets a number for a port that may have any. Compose can leave it open.
    fn fixes_ports(&self, service: &PortableService) -> bool {
        matches!(self.format, "procfile" | "systemd")
            && service.ports.iter().any(|port| port.wanted.is_none())
    }

    /// Whether the times and numbers of `restart` are lost. systemd lacks only `max_delay`; Kubernetes
    /// has the number for tasks. A Procfile has no `restart` at all.
    fn loses_restart(&self, restart: &RestartConfig) -> bool {
        let usual = RestartConfig::new(restart.policy);
        match self.format {
            "procfile" => false,
            "systemd" => restart.max_delay != usual.max_delay,
            _ => *restart != usual,
        }
    }

    /// Adds what a service loses.
    pub(super) fn lose(&mut self, what: impl Into<String>, service: &PortableService) {
        let services = self.losses.entry(what.into()).or_default();
        if !services.contains(&service.name) {
            services.push(service.name.clone());
        }
    }

    /// Adds those of which a service has some.
    pub(super) fn lose_those(&mut self, service: &PortableService, found: &[(&str, bool)]) {
        for (what, _) in found.iter().filter(|(_, found)| *found) {
            self.lose(*what, service);
        }
    }

    /// Adds what is left to do for a service.
    pub(super) fn step(&mut self, service: &PortableService, step: impl Into<String>) {
        let step = step.into();
        let index = self.steps.iter().position(|(known, _)| *known == step);
        let index = index.unwrap_or_else(|| {
            self.steps.push((step, Vec::new()));
            self.steps.len() - 1
        });
        let services = &mut self.steps[index].1;
        if !services.contains(&service.name) {
            services.push(service.name.clone());
        }
    }

    /// Returns the lines for a person: first what to do, then what is lost.
    pub fn lines(&self) -> Vec<String> {
        self.lines_of(None)
    }

    /// Returns the lines about everything, or those about one service without its name.
    fn lines_of(&self, only: Option<&Name>) -> Vec<String> {
        let wanted = |services: &[Name]| only.is_none_or(|name| services.contains(name));
        let steps = self.steps.iter().filter(|(_, services)| wanted(services));
        let steps = steps.map(|(step, services)| match only {
            Some(_) => step.clone(),
            None => format!("{}: {step}", join(services, ", ")),
        });
        let losses = self.losses.iter().filter(|(_, services)| wanted(services));
        let losses = losses.map(|(what, services)| match only.is_some() || services.is_empty() {
            true => format!("not carried over: {what}"),
            false => format!("not carried over: {what} ({})", join(services, ", ")),
        });
        // Names of variables and files are in them.
        steps.chain(losses).map(|line| one_line(&line)).collect()
    }

    /// Returns them as comments, as every format here writes them: after a `#`.
    pub(super) fn comment(&self) -> String {
        self.as_comment(&self.lines())
    }

    /// Like [`ExportNotes::comment`], for a file about one service.
    pub(super) fn comment_of(&self, service: &PortableService) -> String {
        self.as_comment(&self.lines_of(Some(&service.name)))
    }

    fn as_comment(&self, lines: &[String]) -> String {
        let first =
            format!("Written by `devstack export {}` from {}.", self.format, self.file_name);
        let lines = lines.iter().map(String::as_str);
        [first.as_str()].into_iter().chain(lines).map(|line| format!("# {line}\n")).collect()
    }
}
