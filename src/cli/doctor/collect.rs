//! Collects the facts to judge. Creates and changes nothing, and starts only what reads trust stores.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};

use super::facts::{
    ConfigStatus, DoctorFacts, LOCALHOST_NAME, LocalCaFacts, LocalhostNames, MachineFacts,
    MovedPort, NameResolver, OrphanFacts, OrphanedStack, ProjectFacts, ProxyFacts, StackFacts,
    UnstartableService,
};
use super::judge::port_label;
use super::node_packages::missing_packages;
use super::system;
use crate::cli::context;
use crate::cli::control::OrphanCleanup;
use crate::cli::proxy::door_status;
use crate::cli::tools::{date, store_label};
use crate::config::{self, Config, ConfigOverrides, ConfigSources};
use crate::control::{CaDir, CrashedInstance, ProjectDir, RuntimeDir, StateDir};
use crate::front_door::DoorStatus;
use crate::https::LocalCa;
use crate::https::stores::TrustFacts;
use crate::model::{AssignedPort, CONFIG_FILES, Message, PortKey};
use crate::ports::{self, BindScope, FIRST_UNPRIVILEGED, LeaseDir, PortAllocator, availability};
use crate::process;
use crate::supervisor::containers::find_left;
use crate::supervisor::reload::LoadConstraints;
use crate::watch::remote_file_system;

/// Time limit for the name server; the user waits for this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Collects all facts. Takes milliseconds, or a second if no name server responds.
pub(super) fn collect(files: Vec<PathBuf>) -> Result<DoctorFacts, Message> {
    let names = resolve_localhost();
    let sources = context::sources(files, ConfigOverrides::default())?;
    let (configuration, dir) = configuration(&sources);
    let project = ProjectFacts {
        writable: can_write(&dir),
        network_file_system: remote_file_system(&dir),
        dir,
    };
    let left = left(&project.dir);
    let machine = MachineFacts {
        watches: system::watches(),
        watchers: system::watchers(),
        files: open_files(),
        processes: system::processes(),
        outgoing: ports::ephemeral_range(),
        has_pidfd: process::can_pin_processes(),
        sight: system::process_visibility(),
        https: local_ca(),
        localhost: names.recv_timeout(PATIENCE).unwrap_or(LocalhostNames::Silent),
        resolver: resolver(),
        proxy: proxy(),
    };
    Ok(DoctorFacts { machine, project, configuration, left })
}

fn local_ca() -> LocalCaFacts {
    let ca = match CaDir::locate().and_then(|dir| LocalCa::load(dir.path())) {
        Ok(Some(ca)) => ca,
        Ok(None) => return LocalCaFacts::Absent,
        Err(why) => return LocalCaFacts::Unusable(why),
    };
    let stores = TrustFacts::of_this_machine(Some(&ca)).stores.into_iter();
    LocalCaFacts::Present {
        expires: date(ca.expires()),
        expires_soon: ca.expires_soon(SystemTime::now()),
        stores: stores.map(|(store, content)| (store_label(&store), content)).collect(),
    }
}

fn proxy() -> ProxyFacts {
    let asked = context::runtime().map(|runtime| runtime.block_on(door_status()));
    match asked {
        Ok(Ok(None)) => ProxyFacts::NotRunning,
        Ok(Ok(Some(DoorStatus { ports, stacks, .. }))) => {
            ProxyFacts::Serving { ports, stacks: stacks.len() }
        }
        Ok(Err(message)) => ProxyFacts::Unreachable(message),
        Err(error) => ProxyFacts::Unreachable(error.message()),
    }
}

fn resolver() -> NameResolver {
    match () {
        () if cfg!(target_os = "macos") => NameResolver::MacOs,
        // musl reads no such file.
        () if Path::new("/etc/nsswitch.conf").exists() => NameResolver::NameServices,
        () => NameResolver::HostsFile,
    }
}

/// Resolves a name below `localhost` in a thread: it may take a minute without a network.
fn resolve_localhost() -> mpsc::Receiver<LocalhostNames> {
    let (answer, answers) = mpsc::channel();
    let ask = move || {
        let found = match (LOCALHOST_NAME, 0).to_socket_addrs() {
            Ok(mut addresses) => {
                let strange = addresses.find(|address| !address.ip().is_loopback());
                strange.map_or(LocalhostNames::Loopback, |address| {
                    LocalhostNames::Elsewhere(address.ip())
                })
            }
            Err(error) => LocalhostNames::Unknown(error.to_string()),
        };
        // The receiver may have timed out.
        let _ = answer.send(found);
    };
    // If the thread cannot start, this counts as no response.
    let _ = thread::Builder::new().spawn(ask);
    answers
}

fn configuration(sources: &ConfigSources) -> (ConfigStatus, PathBuf) {
    let here = || sources.cwd.clone();
    let absent = || {
        let mut above = sources.cwd.ancestors();
        !above.any(|dir| CONFIG_FILES.iter().any(|file| dir.join(file).is_file()))
    };
    match config::load(sources) {
        Ok(draft) => {
            let dir = draft.dir().to_owned();
            (ConfigStatus::Good(stack(&draft)), dir)
        }
        Err(_) if sources.files.is_empty() && absent() => (ConfigStatus::Absent, here()),
        Err(wrong) => (ConfigStatus::Wrong(wrong.summary()), here()),
    }
}

fn stack(config: &Config) -> StackFacts {
    let running = running(config.dir());
    let mine = running.clone().unwrap_or_default();
    let leases = lease_dir();
    let remembered = StateDir::existing(config.dir()).map(|dir| dir.port_history());
    let ports = PortAllocator::look(&leases, remembered.as_deref(), config.dir());
    let situation = LoadConstraints { held_ports: mine, ..LoadConstraints::default() };
    let chosen = situation.with_requests(config, |asked| ports.preview(asked));
    let stack = config.resolve(chosen.as_ref().unwrap_or(&BTreeMap::new()));
    let moves = chosen.map(|chosen| {
        let moved = |(key, chosen): (&PortKey, &AssignedPort)| {
            let why = chosen.moved.clone()?;
            Some(MovedPort { whose: port_label(key), number: chosen.number, why })
        };
        chosen.iter().filter_map(moved).collect()
    });
    let starting = config.with_dependencies(config.autostart().cloned().collect());
    let unstartable = stack.services.values().filter_map(|service| {
        let why =
            process::check_launch(&service.launch).or_else(|| missing_packages(&service.launch))?;
        let starts = starting.contains(&service.name);
        Some(UnstartableService { service: service.name.to_string(), starts, why })
    });
    let low = config.port_requests().iter().filter_map(|request| request.wanted.number());
    let low = low.filter(|number| *number < FIRST_UNPRIVILEGED);
    StackFacts {
        name: stack.name.clone(),
        services: stack.services.len(),
        watches: stack.services.values().any(|service| !service.watch.is_empty()),
        runs: running.is_some(),
        unstartable: unstartable.collect(),
        privileged: low
            .map(|number| (number, availability(number, BindScope::Everywhere)))
            .collect(),
        port_requests: config.port_requests().to_vec(),
        ports: moves,
    }
}

fn running(dir: &Path) -> Option<BTreeMap<PortKey, u16>> {
    let snapshot = context::snapshot(dir).ok()?;
    let ports = snapshot.services.into_iter().flat_map(|service| {
        let name = service.name;
        service
            .ports
            .into_iter()
            .map(move |(port, number)| (PortKey { service: name.clone(), port }, number))
    });
    Some(ports.collect())
}

fn lease_dir() -> PathBuf {
    RuntimeDir::existing().map(|dir| dir.port_leases()).unwrap_or_default()
}

/// Returns the limit of open files: current and maximum.
fn open_files() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX))
}

fn can_write(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Finds what killed stacks left, in this directory and wherever a lock file records one.
fn left(dir: &Path) -> OrphanFacts {
    let abandoned = CrashedInstance::all();
    let there = |one: &CrashedInstance| match &one.dir {
        ProjectDir::InPlace(dir) => Some(dir.clone()),
        ProjectDir::Moved(_)
        | ProjectDir::Deleted(_)
        | ProjectDir::Missing(_)
        | ProjectDir::Unknown => None,
    };
    let mut dirs: Vec<PathBuf> = abandoned.iter().filter_map(there).collect();
    dirs.push(dir.to_owned());
    dirs.sort();
    dirs.dedup();
    let recorded =
        dirs.iter().filter_map(|dir| OrphanCleanup::find(dir)).map(|left| OrphanedStack {
            processes: left.processes().map_err(|error| error.to_string()),
            containers: left.containers(),
            dir: Some(left.project),
        });
    // The directory is gone, and the process record with it; only the token is left.
    let lost = abandoned.iter().filter(|one| there(one).is_none()).map(|one| OrphanedStack {
        processes: Ok(one
            .holder
            .token
            .as_deref()
            .map_or(Vec::new(), process::find_orphans_by_token)),
        containers: find_left(&process::left_containers(None, one.holder.token.as_deref())),
        dir: None,
    });
    OrphanFacts {
        stacks: recorded.chain(lost).collect(),
        sockets: abandoned.iter().filter_map(|one| one.socket.clone()).collect(),
        leases: LeaseDir::find(&lease_dir()).map_or(Vec::new(), |leases| leases.stale()),
    }
}
