//! User units of systemd: a service or a oneshot for each service, sockets for passed ports, and a
//! target for the whole stack.

use std::path::Path;

use super::{Export, ExportNotes, ExportedFile, shell};
use crate::model::{
    Condition, Message, MessageClass, Name, PortableCommand, PortablePort, PortableProbe,
    PortableService, PortableStack, PortableText, RestartPolicy, ServiceKind, host_port,
    signal_name,
};
use crate::text::{join, one_line};
use crate::units::whole_duration;

/// Writes a stack as units.
///
/// # Errors
/// A unit cannot name the directory or an env file of a service (class `config`).
pub fn systemd(stack: &PortableStack) -> Result<Export, Message> {
    stack.services.values().try_for_each(check_paths)?;
    let mut notes = ExportNotes::new("systemd", stack);
    let mut files = Vec::new();
    for service in stack.services.values() {
        let unit = ServiceUnit { stack, service };
        unit.note(&mut notes);
        let file = |name: String, text: String| {
            let text = format!("{}\n{text}", notes.comment_of(service));
            ExportedFile { name, text }
        };
        files.push(file(unit.name(), unit.text()));
        let sockets = service.ports.iter().filter(|port| port.activated);
        files.extend(sockets.map(|port| file(unit.socket(port), unit.socket_text(port))));
    }
    let text = format!("{}\n{}", notes.comment(), target_text(stack));
    files.insert(0, ExportedFile { name: target_name(stack), text });
    Ok(Export { files, notes })
}

/// Checks that each path of a service can be a value: of one line, which systemd neither strips nor
/// joins with the next one.
fn check_paths(service: &PortableService) -> Result<(), Message> {
    let fits = |path: &Path| {
        path.to_str().is_some_and(|path| {
            let stripped = path.ends_with(|c: char| c == '\\' || c.is_whitespace());
            !stripped && !path.contains(char::is_control)
        })
    };
    let files = service.env_files.iter().map(|file| &file.path);
    let Some(path) = files.chain([&service.dir]).find(|path| !fits(path)) else { return Ok(()) };
    let text = format!("a systemd unit cannot name {:?}, a path of {}", path, service.name);
    let help = "rename it: no control character, and no blank or backslash at the end";
    Err(Message::new(MessageClass::Config, text).help(help))
}

fn target_text(stack: &PortableStack) -> String {
    let mut unit = UnitFile::default();
    unit.section("Unit").set("Description", &escaped(&format!("the stack {}", stack.name)));
    for service in stack.services.values().filter(|service| service.autostart) {
        unit.set("Wants", &ServiceUnit { stack, service }.name());
    }
    unit.section("Install").set("WantedBy", "default.target");
    unit.0
}

fn target_name(stack: &PortableStack) -> String {
    format!("{}.target", stack.name)
}

struct ServiceUnit<'a> {
    stack: &'a PortableStack,
    service: &'a PortableService,
}

impl ServiceUnit<'_> {
    fn unit_name(&self, service: &Name) -> String {
        format!("{}-{service}.service", self.stack.name)
    }

    fn name(&self) -> String {
        self.unit_name(&self.service.name)
    }

    /// Returns the name of the unit of a socket. No name of a service has a dot.
    fn socket(&self, port: &PortablePort) -> String {
        format!("{}-{}.{}.socket", self.stack.name, self.service.name, port.name)
    }

    fn text(&self) -> String {
        let service = self.service;
        let mut unit = UnitFile::default();
        let description = service.description.as_deref().unwrap_or(service.name.as_str());
        unit.section("Unit").set("Description", &line(&one_line(description)));
        unit.set("PartOf", &target_name(self.stack));
        // A unit has started once it is ready, and a oneshot once it has completed.
        for name in service.depends_on.keys() {
            let dependency = self.unit_name(name);
            unit.set("Requires", &dependency).set("After", &dependency);
        }
        let sockets: Vec<String> = self.activated().map(|port| self.socket(port)).collect();
        for socket in &sockets {
            unit.set("Requires", socket).set("After", socket);
        }
        let restart = &service.restart;
        unit.set("StartLimitIntervalSec", &whole_duration(restart.window));
        unit.set("StartLimitBurst", &restart.max_failures.to_string());
        self.service_section(&mut unit, &sockets);
        unit.0
    }

    fn service_section(&self, unit: &mut UnitFile, sockets: &[String]) {
        let service = self.service;
        let notifies = service.ready.probes.contains(&PortableProbe::Notify);
        unit.section("Service");
        match (service.kind, notifies) {
            (ServiceKind::Task, _) => unit.set("Type", "oneshot").set("RemainAfterExit", "yes"),
            (ServiceKind::Service, true) => unit.set("Type", "notify").set("NotifyAccess", "all"),
            (ServiceKind::Service, false) => unit.set("Type", "exec"),
        };
        if !sockets.is_empty() {
            unit.set("Sockets", &sockets.join(" "));
        }
        unit.set("WorkingDirectory", &escaped(&service.dir.to_string_lossy()));
        for file in &service.env_files {
            let optional = if file.optional { "-" } else { "" };
            let path = escaped(&file.path.to_string_lossy());
            unit.set("EnvironmentFile", &format!("{optional}{path}"));
        }
        for (name, text) in self.plain_env() {
            unit.set("Environment", &quoted(&format!("{name}={text}"), Dollars::Plain));
        }
        let passed = self.inherited();
        if !passed.is_empty() {
            unit.set("PassEnvironment", &passed.join(" "));
        }
        unit.set("ExecStart", &self.shell(&self.main_script()));
        if let Some(script) = self.wait_script() {
            unit.set("ExecStartPost", &self.shell(&(self.exports() + &script)));
        }
        if let Some(command) = &service.stop.command {
            unit.set("ExecStop", &self.shell(&(self.exports() + &shell::command(command))));
        }
        if service.kind == ServiceKind::Service {
            unit.set("TimeoutStartSec", &whole_duration(service.ready.timeout));
        }
        let restart = match (service.restart.policy, service.kind) {
            (RestartPolicy::No, _) => "no",
            (RestartPolicy::OnFailure, _) | (RestartPolicy::Always, ServiceKind::Task) => {
                "on-failure"
            }
            (RestartPolicy::Always, ServiceKind::Service) => "always",
        };
        unit.set("Restart", restart).set("RestartSec", &whole_duration(service.restart.delay));
        if service.success_codes.iter().ne([&0]) {
            unit.set("SuccessExitStatus", &join(&service.success_codes, " "));
        }
        if let Some(signal) = signal_name(service.stop.signal).filter(|name| *name != "TERM") {
            unit.set("KillSignal", &format!("SIG{signal}"));
        }
        unit.set("KillMode", "mixed").set("TimeoutStopSec", &whole_duration(service.stop.grace));
    }

    fn socket_text(&self, port: &PortablePort) -> String {
        let mut unit = UnitFile::default();
        unit.section("Unit").set("PartOf", &target_name(self.stack));
        let host = match self.service.host.as_str() {
            "localhost" => "127.0.0.1",
            host => host,
        };
        let address = match host {
            "0.0.0.0" => format!("0.0.0.0:{}", port.number),
            "::" => format!("[::]:{}", port.number),
            host => host_port(host, port.number),
        };
        unit.section("Socket").set("ListenStream", &address);
        unit.set("FileDescriptorName", &port.name).set("Service", &self.name());
        unit.0
    }

    fn activated(&self) -> impl Iterator<Item = &PortablePort> {
        self.service.ports.iter().filter(|port| port.activated)
    }

    /// Returns the variables that need no shell: known, and in no env file, which would be stronger.
    fn plain_env(&self) -> impl Iterator<Item = (&String, &str)> {
        let env = self.service.env.iter().filter(|(name, _)| !self.is_in_file(name));
        env.filter_map(|(name, text)| Some((name, text.as_literal()?)))
    }

    fn is_in_file(&self, name: &str) -> bool {
        self.service.env_files.iter().any(|file| file.names.contains(name))
    }

    /// Returns a script that sets all other variables: by one command, so that each reference means
    /// what was set before.
    fn exports(&self) -> String {
        let open = self.service.env.iter();
        let open = open.filter(|(name, text)| text.as_literal().is_none() || self.is_in_file(name));
        let words: Vec<String> =
            open.map(|(name, text)| format!("{name}={}", shell::word(text))).collect();
        if words.is_empty() { String::new() } else { format!("export {}; ", words.join(" ")) }
    }

    fn main_script(&self) -> String {
        let exports = self.exports();
        match &self.service.command {
            // Its last command takes the place of the shell.
            PortableCommand::Shell(text) if exports.is_empty() => shell::raw(text),
            command => exports + &shell::exec(command),
        }
    }

    /// Returns a script that ends once the service is ready.
    fn wait_script(&self) -> Option<String> {
        let wait = |probe: &PortableProbe| match probe {
            PortableProbe::Delay(delay) => Some(format!("sleep {}", delay.as_secs_f64())),
            probe => {
                let probe = shell::probe(probe)?;
                Some(format!(
                    "until {probe}; do sleep {}; done",
                    self.service.ready.interval.as_secs_f64()
                ))
            }
        };
        let waits: Vec<String> = self.service.ready.probes.iter().filter_map(wait).collect();
        (!waits.is_empty()).then(|| waits.join("; "))
    }

    /// Returns the variables that come from the environment of the user manager.
    fn inherited(&self) -> Vec<String> {
        let service = self.service;
        let texts = service.env.values().chain(service.command.texts());
        let open = texts.flat_map(PortableText::variables).filter(|open| open.file.is_none());
        let mut names: Vec<String> = open.map(|open| open.name.clone()).collect();
        names.retain(|name| name != "PATH");
        names.sort();
        names.dedup();
        names
    }

    fn shell(&self, script: &str) -> String {
        format!("/bin/sh -c {}", quoted(script, Dollars::Doubled))
    }

    fn note(&self, notes: &mut ExportNotes) {
        let service = self.service;
        let starts = service.depends_on.values().any(|it| *it == Condition::Started);
        let lost = [
            ("`health`", service.health.is_some()),
            ("`ready.log`", service.ready.probes.contains(&PortableProbe::Log)),
            ("`depends_on` with `started`: waits until ready", starts),
        ];
        notes.lose_those(service, &lost);
        let inherited = self.inherited();
        if !inherited.is_empty() {
            let names = inherited.join(" ");
            let step = format!("uses {names}: run `systemctl --user import-environment {names}`");
            notes.step(service, step);
        }
        let texts = service.env.values().chain(service.command.texts());
        for open in texts.flat_map(PortableText::variables).filter(|open| open.file.is_some()) {
            if !self.is_in_file(&open.name) {
                let name = &open.name;
                let step = format!("{name} is set for another service: add it to an env file");
                notes.step(service, step);
            }
        }
    }
}

/// A unit file under construction.
#[derive(Default)]
struct UnitFile(String);

impl UnitFile {
    fn section(&mut self, name: &str) -> &mut UnitFile {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.0 += &format!("{gap}[{name}]\n");
        self
    }

    fn set(&mut self, key: &str, value: &str) -> &mut UnitFile {
        self.0 += &format!("{key}={value}\n");
        self
    }
}

/// What dollar signs are in a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dollars {
    /// Ordinary characters, as in `Environment=`.
    Plain,
    /// The beginning of a variable, unless doubled, as in `ExecStart=`.
    Doubled,
}

/// Writes one word between double quotes.
fn quoted(text: &str, dollars: Dollars) -> String {
    let mut word = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => word.extend(['\\', c]),
            '%' => word += "%%",
            '$' if dollars == Dollars::Doubled => word += "$$",
            '\n' => word += "\\n",
            '\t' => word += "\\t",
            c if c.is_ascii_control() => word += &format!("\\x{:02x}", u32::from(c)),
            c => word.push(c),
        }
    }
    word + "\""
}

/// Writes a whole value, in which only specifiers mean something.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

/// Writes a text as a whole line. A backslash that no other one escapes would join it with the next.
fn line(text: &str) -> String {
    let last = text.len() - text.trim_end_matches('\\').len();
    escaped(text) + if last % 2 == 1 { "\\" } else { "" }
}
