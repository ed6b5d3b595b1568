//! The differences between two versions of a service, and which of them need a restart.

use std::collections::BTreeSet;

use super::port_moves::PortMoves;
use crate::model::{
    AssignedPort, CommandLine, ContainerConfig, ImageSource, LaunchConfig, RunMode, Service,
    ServiceKindView,
};

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
    pub fn between(old: &Service, new: &Service, moves: &PortMoves) -> ServiceDiff {
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
        let mut moved = found.launch(&old.launch, &new.launch, moves);
        if old.socket_activated != new.socket_activated {
            found.restart("port", "passed sockets changed".to_owned());
        } else if fixed_ports(old) != fixed_ports(new) {
            found.fields.push("port");
            moved.extend(moves.of(new));
        }
        found.restart.splice(0..0, moves.describe(&moved, &new.name));
        if old.tty != new.tty {
            found.restart("tty", "tty changed".to_owned());
        }
        if old.kind != new.kind {
            found.restart("kind", format!("now a {}", ServiceKindView::from(new.kind)));
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

    /// Compares how it runs in a container: the engine fixes all of it when it creates one.
    fn container(&mut self, old: Option<&ContainerConfig>, new: Option<&ContainerConfig>) {
        let (old, new) = match (old, new) {
            (None, None) => return,
            (None, Some(new)) => {
                return self.restart("image", format!("image is now {}", new.image()));
            }
            (Some(_), None) => return self.restart("image", "no longer a container".to_owned()),
            (Some(old), Some(new)) => (old, new),
        };
        let ContainerConfig {
            source,
            entrypoint,
            user,
            workdir,
            volumes,
            pull,
            engine,
            inside_ports,
        } = new;
        match (&old.source, source) {
            (old, new) if old == new => {}
            (_, ImageSource::Image(image)) => {
                self.restart("image", format!("image is now {}", image.redacted()));
            }
            (_, ImageSource::Build(_)) => self.restart("build", "build changed".to_owned()),
        }
        for (field, differs) in [
            ("entrypoint", old.entrypoint != *entrypoint),
            ("user", old.user != *user),
            ("workdir", old.workdir != *workdir),
            ("volumes", old.volumes != *volumes),
            ("engine", old.engine != *engine),
        ] {
            if differs {
                self.restart(field, format!("{field} changed"));
            }
        }
        // Only matters to the next start.
        if old.pull != *pull {
            self.fields.push("pull");
        }
        if old.inside_ports != *inside_ports {
            self.restart("port", "ports inside changed".to_owned());
        }
    }

    /// Returns the ports whose move explains what differs, by their former number.
    fn launch(
        &mut self,
        old: &LaunchConfig,
        new: &LaunchConfig,
        moves: &PortMoves,
    ) -> BTreeSet<u16> {
        let mut moved = BTreeSet::new();
        // Required programs only matter to the next start; see `live_fields`.
        let LaunchConfig { command, container, dir, env, host, requires: _ } = new;
        self.container(old.container.as_ref(), container.as_ref());
        match (&old.command, command) {
            (old, new) if old == new => {}
            (CommandLine::Exec(_), CommandLine::Shell(_))
            | (CommandLine::Shell(_), CommandLine::Exec(_)) => {
                self.restart("command", "command changed between string and array".to_owned());
            }
            (CommandLine::Exec(_), CommandLine::Exec(_))
            | (CommandLine::Shell(_), CommandLine::Shell(_)) => {
                match moves.explain(&exposed(&old.command), &exposed(command)) {
                    Some(found) => {
                        self.fields.push("command");
                        moved.extend(found);
                    }
                    None => self.restart("command", "command changed".to_owned()),
                }
            }
        }
        if old.dir != *dir {
            self.restart("dir", format!("dir is now {}", dir.display()));
        }
        if old.host != *host {
            self.restart("host", format!("host is now {host}"));
        }
        let gone = old.env.names().filter(|name| !env.contains(name));
        let differs = |name: &&str| old.env.get(name) != env.get(name);
        let mut names: Vec<String> =
            env.names().filter(differs).chain(gone).map(str::to_owned).collect();
        names.sort_unstable();
        let mut unexplained = names.clone();
        unexplained.retain(|name| {
            let values = old.env.get(name).zip(env.get(name));
            let found = values.and_then(|(old, new)| moves.explain(old, new));
            moved.extend(found.iter().flatten());
            found.is_none()
        });
        match names.is_empty() {
            true => {}
            false if unexplained.is_empty() => self.fields.push("env"),
            false => self.restart("env", format!("env changed: {}", listed(&unexplained))),
        }
        self.variables = names;
        moved
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
        lazy,
        on_exit,
        color,
        description,
        url_form,
        advice,
        proxy,
        actions,
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
        ("start", old.lazy.is_some() != lazy.is_some()),
        ("idle", old.lazy.and_then(|it| it.idle) != lazy.and_then(|it| it.idle)),
        ("on_exit", old.on_exit != *on_exit),
        ("color", old.color != *color),
        ("description", old.description != *description),
        ("url", old.url_form != *url_form),
        ("preset", preset),
        ("proxy", old.proxy != *proxy),
        ("actions", old.actions != *actions),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field)
}

/// The ports that a run keeps: a process has the sockets it was started with, a container the ports
/// it was created with.
fn fixed_ports(service: &Service) -> Vec<(&str, u16)> {
    let is_fixed = |port: &&AssignedPort| {
        service.launch.container.is_some() || service.socket_activated.contains(&port.name)
    };
    let fixed = service.ports.iter().filter(is_fixed);
    fixed.map(|port| (port.name.as_str(), port.number)).collect()
}

/// Returns the words of a command, for comparison only: they may hold secrets.
fn exposed(command: &CommandLine) -> String {
    match command {
        CommandLine::Shell(text) => text.clone(),
        CommandLine::Exec(words) => {
            words.iter().map(|word| word.expose()).collect::<Vec<_>>().join("\0")
        }
    }
}

fn listed(names: &[String]) -> String {
    match names.get(MAX_NAMED..) {
        Some(more) if !more.is_empty() => {
            format!("{} and {} more", names[..MAX_NAMED].join(", "), more.len())
        }
        Some(_) | None => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{PullPolicy, Stack, VolumeMount, VolumeSource};

    fn postgres() -> Service {
        let mut service = Service::sample("db");
        service.launch.command = CommandLine::Exec(Vec::new());
        let mut container = ContainerConfig::sample("postgres:17");
        container.inside_ports.insert("main".to_owned(), 5432);
        service.launch.container = Some(container);
        service.ports.push(AssignedPort::sample("main", 5432));
        service
    }

    fn difference(change: impl FnOnce(&mut ContainerConfig)) -> (String, bool) {
        let (old, mut new) = (postgres(), postgres());
        change(new.launch.container.as_mut().expect("it is one"));
        let found = ServiceDiff::between(&old, &new, &PortMoves::default());
        (found.summary(), !found.restart.is_empty())
    }

    #[test]
    fn what_a_container_was_created_with_needs_another_one() {
        let volume = VolumeMount {
            source: VolumeSource::Named("data".to_owned()),
            target: "/data".to_owned(),
            read_only: false,
        };
        let restart = |text: &str| (text.to_owned(), true);
        let image = difference(|it| it.source = ImageSource::Image("postgres:18".into()));
        assert_eq!(image, restart("image is now postgres:18"));
        assert_eq!(difference(|it| it.volumes.push(volume)), restart("volumes changed"));
        assert_eq!(difference(|it| it.user = Some("1".into())), restart("user changed"));
        let inside = difference(|it| {
            it.inside_ports.insert("main".to_owned(), 1);
        });
        assert_eq!(inside, restart("ports inside changed"));
        let pull = difference(|it| it.pull = PullPolicy::Always);
        assert_eq!(pull, ("pull changed".to_owned(), false));
        let program = Service::sample("db");
        let found = ServiceDiff::between(&program, &postgres(), &PortMoves::default());
        assert!(found.summary().contains("image is now postgres:17"), "{}", found.summary());
    }

    #[test]
    fn a_container_keeps_the_ports_that_it_was_created_with() {
        let (old, mut new) = (postgres(), postgres());
        new.ports[0].number = 5433;
        let of = |service: &Service| Stack {
            services: [(service.name.clone(), Arc::new(service.clone()))].into(),
            ..(*crate::engine::tests::script::stack("")).clone()
        };
        let moves = PortMoves::between(&of(&old), &of(&new));
        assert_eq!(ServiceDiff::between(&old, &new, &moves).restart, ["port 5432 → 5433"]);
    }
}
