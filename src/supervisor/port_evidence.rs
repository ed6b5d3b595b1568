//! Gathers what can be seen of ports, off the loop, and lets `ports` judge it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::executor::RunRefusal;
use super::renamed_data;
use super::script_hints::{script_hints, with_hints};
use super::status::missing_package;
use crate::engine::StartObstacle;
use crate::log::StackLog;
use crate::model::{BindHints, Message, PortKey, RunId, Service};
use crate::ports::{
    self, BindScope, ExitEvidence, HoldersByPort, ListeningSocket, PortAllocator, PortAvailability,
    PortBlame,
};
use crate::regular_file::{open_regular, read_text};
use crate::sync::lock_unpoisoned;

/// Number of log lines of a run to search for an address in use: as long as a traceback.
const SEARCHED_LINES: usize = 100;

/// Largest file of a program to search for a port.
const SEARCHED_BYTES: u64 = 256 * 1024;

/// A service that is about to start.
#[derive(Clone)]
pub(super) struct AboutToStart {
    pub service: Arc<Service>,
    /// Whether it has not run before.
    pub first: bool,
    /// A port that it could not bind because of closed connections.
    pub lingering: Option<u16>,
    /// Where its data is, if it had another name.
    pub former_data: Option<PathBuf>,
}

/// Whether a service may start, what became of its data, and how the server of its script takes
/// its port.
pub(super) struct StartVerdict {
    pub ports: Result<(), StartObstacle>,
    pub data: Option<Message>,
    pub hints: Option<BindHints>,
}

/// Judges whether services may start on their ports, and lets go of those of services that may. One
/// scan of all listeners serves them all.
pub(super) fn inspect(
    services: &[AboutToStart],
    ports: &Mutex<PortAllocator>,
) -> Vec<StartVerdict> {
    let all = services.iter().flat_map(|it| ports_of(&it.service)).collect();
    // Listeners on addresses that are not local are rarely in the way; if they are, the service
    // reports it.
    let holders = holders(&all, ListeningSocket::is_reachable_locally);
    let hints: Vec<_> = services.iter().map(|it| script_hints(&it.service)).collect();
    let lingering: Vec<_> = services.iter().map(AboutToStart::lingering_port).collect();
    let mut ports = lock_unpoisoned(ports);
    let mut judge = |(about, lingering): (&AboutToStart, Option<u16>)| {
        let AboutToStart { service, first, .. } = about;
        let unclaimed = service
            .ports
            .iter()
            .find(|port| ports.is_unclaimed(&PortKey::new(&service.name, &port.name), port.number));
        let unclaimed = unclaimed.map(|port| port.number);
        let verdict = ports::judge_start(service, *first, &holders, unclaimed);
        let verdict = verdict.map_err(StartObstacle::PortTaken);
        let closing = lingering.map_or(Ok(()), |port| Err(StartObstacle::PortLingers(port)));
        let verdict = verdict.and(closing);
        if verdict.is_ok() {
            ports.prepare_start(&service.name);
        }
        verdict
    };
    let verdicts: Vec<_> = services.iter().zip(lingering).map(&mut judge).collect();
    // Others wait for the lock, so no file is touched under it.
    drop(ports);
    let complete = |((about, ports), hints): ((&AboutToStart, Result<(), StartObstacle>), _)| {
        let former = about.former_data.as_ref().filter(|_| ports.is_ok());
        let data = former.and_then(|former| renamed_data::bring(&about.service, former));
        StartVerdict { ports, data, hints }
    };
    services.iter().zip(verdicts).zip(hints).map(complete).collect()
}

impl AboutToStart {
    /// Returns a port of it that closed connections keep from every server, or from its own.
    fn lingering_port(&self) -> Option<u16> {
        let blocked = |(port, scope): (&u16, &BindScope)| {
            let in_use = matches!(ports::availability(*port, *scope), PortAvailability::InUse);
            (in_use && ports::is_in_time_wait(*port)).then_some(*port)
        };
        let known = self.lingering.filter(|port| ports::is_in_time_wait(*port));
        known.or_else(|| ports_of(&self.service).iter().find_map(blocked))
    }
}

/// Why a run exited before it was ready.
pub(super) enum ExitFinding {
    /// What its ports have to do with it.
    Ports(PortBlame),
    /// Something is missing that the next run would miss as well.
    CannotRun(Message),
}

/// Judges an early exit, and drops a reservation that may have been in the way.
pub(super) fn investigate(
    service: &Service,
    run: RunId,
    refusal: Option<RunRefusal>,
    logs: &StackLog,
    ports: &Mutex<PortAllocator>,
) -> ExitFinding {
    let (name, numbers) = (&service.name, ports_of(service));
    let lines = logs.tail_of(name, run, SEARCHED_LINES);
    if let Some(message) = missing_package(service, &lines) {
        return ExitFinding::CannotRun(message);
    }
    let in_use = lines.iter().any(|line| ports::mentions_address_in_use(line));
    if let Some(message) = refusal.filter(|_| !in_use).and_then(|it| it.message(&lines)) {
        return ExitFinding::CannotRun(message);
    }
    if numbers.is_empty() && !in_use {
        return ExitFinding::Ports(PortBlame::NoSign);
    }
    let fixed = if in_use { fixed_ports(service) } else { BTreeSet::new() };
    let suspected = ports::suspected_ports(service, &lines, &fixed).into_iter();
    let mut searched: BTreeMap<u16, BindScope> =
        suspected.map(|port| (port, BindScope::Everywhere)).collect();
    searched.extend(&numbers);
    let lingers = |port: &u16| in_use && ports::is_in_time_wait(*port);
    let evidence = ExitEvidence {
        holders: holders(&searched, |_| true),
        held: lock_unpoisoned(ports).is_held(name),
        fixed,
        lingering: searched.keys().copied().filter(lingers).collect(),
        lines,
    };
    let blame = ports::judge_exit(&with_hints(service, script_hints(service)), &evidence);
    match blame {
        // In case it was the hold, release it for the next start.
        PortBlame::NoSign => drop(lock_unpoisoned(ports).drop_holds(name)),
        PortBlame::Reservation => drop(lock_unpoisoned(ports).never_hold(name)),
        PortBlame::Taken(_)
        | PortBlame::Insists(_)
        | PortBlame::Unclear
        | PortBlame::OpenedPassedPort(_)
        | PortBlame::Lingers(_)
        | PortBlame::UsedBefore(_)
        | PortBlame::Unnamed(_) => {}
    }
    ExitFinding::Ports(blame)
}

/// Returns the numbers in the service's own files that its command names, if the program reads
/// neither variables nor arguments, or is given no port: `PORT = 8000`.
fn fixed_ports(service: &Service) -> BTreeSet<u16> {
    // Files of this machine say nothing about what is in an image.
    if service.launch.container.is_some() {
        return BTreeSet::new();
    }
    let command = service.launch.command.line();
    let texts = command.split_whitespace().filter_map(|word| own_text(&service.launch.dir, word));
    let asks = ["env", "ENV", "argv", "ARGV"];
    let is_asking = |text: &String| asks.iter().any(|word| text.contains(word));
    let fixed = texts.filter(|text| service.ports.is_empty() || !is_asking(text));
    fixed.flat_map(|text| ports::mentioned_ports(&text).collect::<Vec<_>>()).collect()
}

/// Reads a small text file below this directory.
fn own_text(dir: &Path, word: &str) -> Option<String> {
    let path = dir.join(word);
    let within = path.strip_prefix(dir).ok()?;
    if within.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    read_text(open_regular(&path).ok()?, SEARCHED_BYTES).ok()
}

/// Returns the ports of a service, each with where a listener is in its way.
fn ports_of(service: &Service) -> BTreeMap<u16, BindScope> {
    let scope = BindScope::of(&service.launch.host);
    service.ports.iter().map(|port| (port.number, scope)).collect()
}

/// Finds holders of these ports with listeners that count. Names are looked up only for ports in
/// use.
fn holders(
    numbers: &BTreeMap<u16, BindScope>,
    counts: impl Fn(&ListeningSocket) -> bool,
) -> HoldersByPort {
    let in_the_way = |listener: &ListeningSocket| match numbers.get(&listener.address.port()) {
        Some(BindScope::Everywhere) => counts(listener),
        Some(scope) => scope.includes(listener.address.ip()),
        None => false,
    };
    let found: Vec<_> = ports::listeners().into_iter().filter(in_the_way).collect();
    ports::holders_of_listeners(&found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_regular_files_of_the_service_are_searched() {
        let project = tempfile::tempdir().expect("temp dir");
        let dir = project.path().join("api");
        std::fs::create_dir(&dir).expect("writable");
        let program = "PORT = 8000\n";
        std::fs::write(dir.join("app.py"), program).expect("writable");
        std::fs::write(project.path().join("other.py"), program).expect("writable");
        std::fs::write(dir.join("large"), " ".repeat(SEARCHED_BYTES as usize + 1)).expect("room");
        let pipe = std::process::Command::new("mkfifo").arg(dir.join("pipe")).status();
        assert!(pipe.expect("mkfifo exists").success());
        let absolute = |name: &str| project.path().join(name).display().to_string();
        for word in ["app.py", "./app.py", &absolute("api/app.py")] {
            assert_eq!(own_text(&dir, word).as_deref(), Some(program), "{word}");
        }
        for word in ["pipe", "large", ".", "../other.py", &absolute("other.py"), "none"] {
            assert_eq!(own_text(&dir, word), None, "{word}");
        }
    }
}
