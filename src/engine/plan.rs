use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::{Command, Launch, Name, Service};

/// What an apply changes, and why: the one diff that serves the engine, the log and the tests.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// One change a service, by name; unchanged services are not in it.
    pub changes: BTreeMap<Name, Change>,
}

/// What an apply does to one service.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is new.
    Add,
    /// It is gone.
    Remove,
    /// What is executed changed: a running process is restarted. Why, as a fragment.
    Restart(String),
    /// Only fields changed that need no restart: their names.
    InPlace(String),
}

impl Plan {
    /// The difference between two sets of services.
    pub fn between(old: &BTreeMap<Name, Arc<Service>>, new: &BTreeMap<Name, Arc<Service>>) -> Plan {
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        let gone = gone.map(|name| (name.clone(), Change::Remove));
        let kept = new.iter().filter_map(|(name, service)| {
            let change = match old.get(name) {
                None => Some(Change::Add),
                Some(before) => compare(before, service),
            };
            change.map(|change| (name.clone(), change))
        });
        Plan { changes: gone.chain(kept).collect() }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// One line a change.
    pub fn lines(&self) -> Vec<String> {
        self.changes.iter().map(|(name, change)| format!("{name}: {change}")).collect()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Add => f.write_str("added"),
            Change::Remove => f.write_str("removed"),
            Change::Restart(why) => write!(f, "restart: {why}"),
            Change::InPlace(what) => write!(f, "{what} changed, no restart needed"),
        }
    }
}

fn compare(old: &Service, new: &Service) -> Option<Change> {
    let why = launch_difference(&old.launch, &new.launch);
    if !why.is_empty() {
        return Some(Change::Restart(why.join(", ")));
    }
    if sockets(old) != sockets(new) {
        return Some(Change::Restart("the sockets it is passed changed".to_owned()));
    }
    if old.tty != new.tty {
        return Some(Change::Restart("tty changed".to_owned()));
    }
    if old.kind != new.kind {
        return Some(Change::Restart(format!("now a {}", new.kind.as_str())));
    }
    let fields = [
        ("port", old.ports != new.ports),
        ("depends_on", old.depends_on != new.depends_on),
        ("ready", old.ready != new.ready),
        ("health", old.health != new.health),
        ("restart", old.restart != new.restart),
        ("success_codes", old.success_codes != new.success_codes),
        ("stop", old.stop != new.stop),
        ("watch", old.watch != new.watch),
        ("autostart", old.autostart != new.autostart),
        ("on_exit", old.on_exit != new.on_exit),
        ("color", old.color != new.color),
        ("description", old.description != new.description),
        ("url", old.url_form != new.url_form),
    ];
    let changed: Vec<_> =
        fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    (!changed.is_empty()).then(|| Change::InPlace(changed.join(", ")))
}

/// What it is handed over: a process keeps the descriptors it was started with.
fn sockets(service: &Service) -> Vec<(&str, u16)> {
    service.passed_ports().map(|port| (port.name.as_str(), port.number)).collect()
}

/// Names what differs, and never a value of the environment: values may be secrets.
fn launch_difference(old: &Launch, new: &Launch) -> Vec<String> {
    let mut why = Vec::new();
    if old.command != new.command {
        why.push(match (&old.command, &new.command) {
            (Command::Exec(_), Command::Shell(_)) | (Command::Shell(_), Command::Exec(_)) => {
                "command changed its form".to_owned()
            }
            (Command::Exec(_), Command::Exec(_)) | (Command::Shell(_), Command::Shell(_)) => {
                "command changed".to_owned()
            }
        });
    }
    if old.dir != new.dir {
        why.push(format!("dir is now {}", new.dir.display()));
    }
    if old.host != new.host {
        why.push(format!("host is now {}", new.host));
    }
    let names = old.env.keys().chain(new.env.keys().filter(|name| !old.env.contains_key(*name)));
    let mut changed: Vec<_> =
        names.filter(|name| old.env.get(*name) != new.env.get(*name)).map(String::as_str).collect();
    changed.sort_unstable();
    if !changed.is_empty() {
        why.push(format!("env changed: {}", changed.join(", ")));
    }
    why
}
