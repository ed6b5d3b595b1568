use crate::model::{CommandLine, LaunchConfig, RunMode, Service};

/// Names at most this many variables in a sentence: a new env file would hide the rest of the line.
const MAX_NAMED: usize = 8;

/// The field that differs when a service changes mode; not a key of the file.
pub(super) const MODE: &str = "mode";

/// How two definitions of one service differ.
#[derive(Debug, Default)]
pub(super) struct ServiceDiff {
    /// Why a process of the old definition must restart, each a fragment.
    pub restart: Vec<String>,
    /// Every difference, by its key in the file.
    pub fields: Vec<&'static str>,
    /// The variables that differ. Never their values, which may be secrets.
    pub variables: Vec<String>,
}

impl ServiceDiff {
    pub fn between(old: &Service, new: &Service) -> ServiceDiff {
        let mut found = ServiceDiff::default();
        // All other differences follow from the mode.
        match (old.mode, new.mode) {
            (RunMode::Run, RunMode::Debug(_)) => {
                found.restart(MODE, "entering debug mode".to_owned());
                return found;
            }
            (RunMode::Debug(_), RunMode::Run) => {
                let field = if new.debug.is_some() { MODE } else { "debug" };
                found.restart(field, "leaving debug mode".to_owned());
                return found;
            }
            (RunMode::Run, RunMode::Run) | (RunMode::Debug(_), RunMode::Debug(_)) => {}
        }
        found.launch(&old.launch, &new.launch);
        if sockets(old) != sockets(new) {
            found.restart("port", "passed sockets changed".to_owned());
        }
        if old.tty != new.tty {
            found.restart("tty", "tty changed".to_owned());
        }
        if old.kind != new.kind {
            found.restart("kind", format!("now a {}", new.kind.as_str()));
        }
        let known = found.fields.clone();
        found.fields.extend(live_fields(old, new).filter(|field| !known.contains(field)));
        found
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Describes the difference, as a fragment.
    pub fn summary(&self) -> String {
        match self.restart.is_empty() {
            true => format!("{} changed", self.fields.join(", ")),
            false => self.restart.join(", "),
        }
    }

    fn restart(&mut self, field: &'static str, why: String) {
        self.fields.push(field);
        self.restart.push(why);
    }

    fn launch(&mut self, old: &LaunchConfig, new: &LaunchConfig) {
        // Required programs only matter to the next start; see `live_fields`.
        let LaunchConfig { command, dir, env, host, requires: _ } = new;
        match (&old.command, command) {
            (old, new) if old == new => {}
            (CommandLine::Exec(_), CommandLine::Shell(_))
            | (CommandLine::Shell(_), CommandLine::Exec(_)) => {
                self.restart("command", "command changed between string and array".to_owned());
            }
            (CommandLine::Exec(_), CommandLine::Exec(_))
            | (CommandLine::Shell(_), CommandLine::Shell(_)) => {
                self.restart("command", "command changed".to_owned());
            }
        }
        if old.dir != *dir {
            self.restart("dir", format!("dir is now {}", dir.display()));
        }
        if old.host != *host {
            self.restart("host", format!("host is now {host}"));
        }
        let gone = old.env.keys().filter(|name| !env.contains_key(*name));
        let differs = |name: &&String| old.env.get(*name) != env.get(*name);
        let mut names: Vec<String> = env.keys().filter(differs).chain(gone).cloned().collect();
        names.sort_unstable();
        if !names.is_empty() {
            self.restart("env", format!("env changed: {}", listed(&names)));
        }
        self.variables = names;
    }
}

/// Returns the keys that differ but need no restart. Destructured, so no field is forgotten.
fn live_fields(old: &Service, new: &Service) -> impl Iterator<Item = &'static str> {
    let Service {
        name: _,
        kind: _,
        launch: _,
        mode,
        debug,
        ports,
        socket_activated: _,
        depends_on,
        ready,
        health,
        restart,
        success_codes,
        stop,
        watch,
        tty: _,
        autostart,
        on_exit,
        color,
        description,
        url_form,
        advice,
    } = new;
    let preset = old.advice != *advice || old.launch.requires != new.launch.requires;
    let fields = [
        ("port", old.ports != *ports),
        ("depends_on", old.depends_on != *depends_on),
        ("ready", old.ready != *ready),
        ("health", old.health != *health),
        ("restart", old.restart != *restart),
        ("success_codes", old.success_codes != *success_codes),
        ("stop", old.stop != *stop),
        ("watch", old.watch != *watch),
        ("debug", old.debug != *debug || old.mode != *mode),
        ("autostart", old.autostart != *autostart),
        ("on_exit", old.on_exit != *on_exit),
        ("color", old.color != *color),
        ("description", old.description != *description),
        ("url", old.url_form != *url_form),
        ("preset", preset),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field)
}

/// The sockets passed to the service: a process keeps the descriptors it was started with.
fn sockets(service: &Service) -> Vec<(&str, u16)> {
    service.activated_ports().map(|port| (port.name.as_str(), port.number)).collect()
}

fn listed(names: &[String]) -> String {
    match names.get(MAX_NAMED..) {
        Some(more) if !more.is_empty() => {
            format!("{} and {} more", names[..MAX_NAMED].join(", "), more.len())
        }
        Some(_) | None => names.join(", "),
    }
}
