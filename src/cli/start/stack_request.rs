use std::collections::BTreeSet;

use crate::config::{Config, DebugServices};
use crate::model::{ModeView, Name, Phase, ServiceView, Snapshot, StartCommand, WantedPort};
use crate::text::join;

/// What `up` asks for, to compare with a stack that already runs. Options that are not given ask for
/// nothing.
pub(super) struct StackRequest {
    /// The configuration files, as in [`crate::model::StartView::files`].
    pub files: Vec<String>,
    /// False with `-f`.
    pub found: bool,
    /// False with `--no-watch`.
    pub watch: bool,
    pub strict_ports: bool,
    /// Of `--host` or `--lan`.
    pub host: Option<String>,
    /// The services that have to run.
    pub services: BTreeSet<Name>,
    /// Of `--debug`.
    pub debugged: DebugServices,
    pub no_deps: bool,
}

impl StackRequest {
    /// Returns the running stack with only the services asked for.
    pub fn part_of(&self, mut stack: Snapshot) -> Snapshot {
        stack.services.retain(|view| self.services.contains(&view.name));
        stack
    }

    /// Describes what the running stack cannot become without a new start, each as a fragment.
    /// `draft` is the configuration asked for.
    pub fn differences(&self, draft: &Config, running: &Snapshot) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(start) = &running.start {
            if start.command == StartCommand::Run {
                found.push("`devstack run` started it, for its own command".to_owned());
            }
            // In one directory, both searches now find the same.
            if start.files != self.files && !(start.found && self.found) {
                let [theirs, ours] = [&start.files, &self.files].map(|files| join(files, ", "));
                found.push(format!("it uses {theirs}, not {ours}"));
            }
            if start.watch && !self.watch {
                found.push("it watches files, despite `--no-watch`".to_owned());
            }
        }
        let asked: Vec<&ServiceView> =
            running.services.iter().filter(|view| self.services.contains(&view.name)).collect();
        found.extend(self.ports(draft, &asked));
        found.extend(asked.iter().filter_map(|view| self.host_of(draft, view)));
        let in_run_mode =
            |view: &&&ServiceView| self.debugged.contains(&view.name) && view.mode == ModeView::Run;
        found.extend(
            asked.iter().filter(in_run_mode).map(|view| {
                format!("{0} is not in debug mode (run `devstack debug {0}`)", view.name)
            }),
        );
        if self.no_deps && self.lacks_dependencies(draft, running) {
            found.push(
                "it starts services only with their dependencies, despite `--no-deps`".to_owned(),
            );
        }
        found
    }

    /// Compares pinned ports, and with `--strict-ports` all that were moved.
    fn ports(&self, draft: &Config, asked: &[&ServiceView]) -> Vec<String> {
        let differs = |request: &crate::model::PortRequest| {
            let view = asked.iter().find(|view| view.name == request.key.service)?;
            let actual = *view.ports.get(&request.key.port)?;
            let (wanted, by) = match request.wanted {
                WantedPort::Pinned(wanted) => (wanted.get(), request.requested_by.as_str()),
                WantedPort::Preferred(wanted, _) if self.strict_ports => {
                    (wanted.get(), "--strict-ports")
                }
                WantedPort::Preferred(..) | WantedPort::Any => return None,
            };
            let key = &request.key;
            (wanted != actual)
                .then(|| format!("`{by}` asks for port {wanted} for {key}, which has {actual}"))
        };
        draft.port_requests().iter().filter_map(differs).collect()
    }

    /// Whether a start of what is missing would also start dependencies.
    fn lacks_dependencies(&self, draft: &Config, running: &Snapshot) -> bool {
        let missing = running.services.iter().filter(|view| is_missing(view));
        let (asked, others): (Vec<&ServiceView>, _) =
            missing.partition(|view| self.services.contains(&view.name));
        let needed = draft.with_dependencies(asked.iter().map(|view| view.name.clone()).collect());
        others.iter().any(|view: &&ServiceView| needed.contains(&view.name))
    }

    fn host_of(&self, draft: &Config, view: &ServiceView) -> Option<String> {
        self.host.as_ref()?;
        let (_, wanted) = draft.hosts().find(|(name, _)| **name == view.name)?;
        (wanted != view.host)
            .then(|| format!("{} binds to {}, not to {wanted}", view.name, view.host))
    }
}

pub(super) fn is_missing(view: &ServiceView) -> bool {
    match view.phase {
        Phase::Idle | Phase::Blocked | Phase::Failed => true,
        Phase::Done => view.has_exited(),
        Phase::Asleep
        | Phase::Waiting
        | Phase::Starting
        | Phase::Ready
        | Phase::Unhealthy
        | Phase::Stopping
        | Phase::Backoff => false,
    }
}
