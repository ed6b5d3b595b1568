//! What `devstack ports` shows: the ports of a stack, or one port of this machine.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::availability::{PortAvailability, availability};
use super::lease::{LeaseDir, owner_of_lease};
use super::{
    BindScope, LeaseOwner, PortHolder, conflict_text, holders_of_port, holders_of_ports, well_known,
};
use crate::model::{ListenAddress, Name, ServiceView, Snapshot};
use crate::sys::process_stat::{ancestors, is_of_run};
use crate::text::join;

/// One port of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRow {
    pub service: Name,
    /// `main`, or its name in `ports`.
    pub port: String,
    /// The requested number; `None` means any.
    pub wanted: Option<u16>,
    /// The assigned number.
    pub actual: u16,
    /// Whether anything is listening there now.
    pub listening: bool,
    /// The process that listens there, preferably the service's own.
    pub holder: Option<PortHolder>,
    /// Whether that process belongs to the service.
    pub own: bool,
    /// Other ports that the service listens on, if nothing listens on this one.
    #[serde(default)]
    pub elsewhere: Vec<u16>,
    /// The holder of the requested number, if the service has another one.
    #[serde(default)]
    pub wanted_holder: Option<PortHolder>,
}

/// Returns the ports of a running stack with their current state. Takes milliseconds.
pub fn port_rows(snapshot: &Snapshot) -> Vec<PortRow> {
    let wanted = |view: &ServiceView| view.wanted_ports.clone().into_values();
    let numbers = |view: &ServiceView| wanted(view).chain(view.ports.clone().into_values());
    let all = holders_of_ports(&snapshot.services.iter().flat_map(numbers).collect());
    let mut rows = Vec::new();
    for view in &snapshot.services {
        let is_own = |holder: &&PortHolder| is_of(holder, view.pid);
        for (port, &actual) in &view.ports {
            let holders = all.get(&actual).map(Vec::as_slice).unwrap_or_default();
            let own = holders.iter().find(is_own);
            let holder = own.or(holders.first()).cloned();
            let wanted = view.wanted_ports.get(port).copied();
            let moved = wanted.filter(|wanted| *wanted != actual);
            rows.push(PortRow {
                service: view.name.clone(),
                port: port.clone(),
                wanted,
                actual,
                listening: holder.is_some(),
                own: own.is_some(),
                elsewhere: if holder.is_none() { elsewhere(view) } else { Vec::new() },
                wanted_holder: moved.and_then(|wanted| all.get(&wanted)?.first().cloned()),
                holder,
            });
        }
    }
    rows
}

/// Ports that the service listens on without having been assigned them.
fn elsewhere(view: &ServiceView) -> Vec<u16> {
    let addresses = view.listening.iter().flatten().filter_map(ListenAddress::tcp);
    let ports: BTreeSet<u16> = addresses.map(|address| address.port()).collect();
    ports.into_iter().filter(|port| !view.ports.values().any(|given| given == port)).collect()
}

/// Whether a holder is of the same run as this main process.
fn is_of(holder: &PortHolder, main: Option<u32>) -> bool {
    let (Some(pid), Some(main)) = (holder.pid, main) else { return false };
    pid == main || ancestors(pid).any(|(above, _)| above == main) || is_of_run(pid, main)
}

/// Returns the rows as a JSON object: `{"version": 1, "ports": […]}`.
pub fn json(rows: &[PortRow]) -> serde_json::Value {
    serde_json::json!({ "version": 1, "ports": rows })
}

/// What is known about one port of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortReport {
    pub port: u16,
    /// Whether it can be bound.
    pub state: PortState,
    /// The processes listening there, longest-running first.
    pub holders: Vec<PortHolder>,
    /// Whether a devstack has leased it for a service.
    pub leased: bool,
    /// The project directory of that devstack, if known.
    pub leased_by: Option<PathBuf>,
    /// Details about that devstack.
    #[serde(rename = "lessee")]
    pub owner: Option<LeaseOwner>,
    /// The program that usually has it.
    pub usually: Option<String>,
    /// Whether browsers refuse to open it.
    pub refused_by_browsers: bool,
}

/// Whether a port can be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortState {
    /// It can be bound.
    Free,
    InUse,
    /// This user may not bind it.
    Denied,
    /// The system failed to answer.
    Unknown,
}

/// Inspects one port. Takes milliseconds if it is in use.
pub fn port_report(port: u16, lease_dir: &Path) -> PortReport {
    let found = holders_of_port(port);
    let state = match availability(port, BindScope::Everywhere) {
        // The kernel checks privileges first, so a denied port may also have a listener.
        _ if !found.is_empty() => PortState::InUse,
        PortAvailability::Free => PortState::Free,
        PortAvailability::InUse => PortState::InUse,
        PortAvailability::Denied => PortState::Denied,
        PortAvailability::Failed(_) => PortState::Unknown,
    };
    let lease_owner = owner_of_lease(LeaseDir::find(lease_dir).as_ref(), port);
    PortReport {
        port,
        state,
        holders: found,
        leased: lease_owner.is_some(),
        leased_by: lease_owner.as_ref().and_then(|lease_owner| lease_owner.dir.clone()),
        owner: lease_owner,
        usually: well_known::usual_program(port).map(str::to_owned),
        refused_by_browsers: well_known::blocked_by_browsers(port),
    }
}

impl PortReport {
    /// Formats the report as text.
    pub fn text(&self) -> String {
        let port = self.port;
        let mut lines = vec![match self.state {
            PortState::Free if self.leased => format!("nothing is listening on port {port}"),
            PortState::Free => format!("port {port} is free"),
            PortState::InUse => {
                format!("port {port} {}", conflict_text::holder_text(&self.holders))
            }
            PortState::Denied => {
                format!("port {port} requires privileges; no listener is visible")
            }
            PortState::Unknown => format!("cannot check port {port} on this machine"),
        }];
        lines.extend(self.holders.iter().skip(1).map(|holder| format!("  and by {holder}")));
        let addresses: BTreeSet<&IpAddr> =
            self.holders.iter().flat_map(|holder| &holder.addresses).collect();
        if !addresses.is_empty() {
            lines.push(format!("listening on {}", join(addresses, ", ")));
        }
        lines.extend(self.owner.as_ref().map(|owner| format!("reserved by {owner}")));
        lines.extend(
            self.usually.as_ref().map(|owner| format!("{port} is commonly used by {owner}")),
        );
        if self.refused_by_browsers {
            lines.push("browsers block this port".to_owned());
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::TcpListener;
    use std::path::Path;

    use super::{PortReport, PortState, port_report, port_rows};
    use crate::model::{Phase, ServiceView, Snapshot};
    use crate::ports::{LeaseDir, PortHolder};

    #[test]
    fn a_snapshot_gives_a_row_for_each_port_with_its_listener() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = held.local_addr().unwrap().port();
        let api = ServiceView {
            port: Some(number),
            wanted_port: Some(5000),
            wanted_ports: BTreeMap::from([("main".to_owned(), 5000)]),
            ports: BTreeMap::from([("main".to_owned(), number), ("metrics".to_owned(), 1)]),
            host: String::new(),
            ..ServiceView::sample("api", Phase::Ready)
        };
        let snapshot = Snapshot::sample("shop", "/srv", vec![api]);
        let rows = port_rows(&snapshot);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].actual, rows[0].wanted, rows[0].listening), (number, Some(5000), true));
        assert_eq!(rows[0].holder.as_ref().unwrap().pid, Some(std::process::id()));
        assert!(!rows[0].own && !rows[1].own, "no process of ours is its main one");
        assert_eq!((rows[1].actual, rows[1].wanted, rows[1].listening), (1, None, false));
    }

    #[test]
    fn one_port_is_reported_with_holder_and_lease() {
        let place = tempfile::tempdir().unwrap();
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let none = place.path().join("none");
        let found = port_report(port, &none);
        assert!(!none.exists(), "looking makes nothing");
        assert_eq!((found.state, found.leased), (PortState::InUse, false));
        assert_eq!(found.holders[0].pid, Some(std::process::id()));

        let leases = LeaseDir::open(place.path()).unwrap();
        let _lease = leases.take(port, Path::new("/srv/shop"));
        let found = port_report(port, place.path());
        assert_eq!(found.leased_by.as_deref(), Some(Path::new("/srv/shop")));
        assert!(found.text().contains("reserved by another stack in /srv/shop\n"));
    }

    #[test]
    fn reports_read_well() {
        let plain = PortReport {
            port: 5432,
            state: PortState::Free,
            holders: Vec::new(),
            leased: false,
            leased_by: None,
            owner: None,
            usually: Some("PostgreSQL".to_owned()),
            refused_by_browsers: false,
        };
        assert_eq!(plain.text(), "port 5432 is free\n5432 is commonly used by PostgreSQL\n");
        let two = PortReport {
            state: PortState::InUse,
            holders: vec![PortHolder::sample(1), PortHolder::sample(2)],
            ..plain
        };
        let text = two.text();
        assert!(text.starts_with("port 5432 is in use by python3 (pid 1: "), "{text}");
        assert!(text.contains(" and 1 more\n  and by python3 (pid 2: "), "{text}");
        assert!(text.contains("\nlistening on 127.0.0.1\n"), "{text}");
        assert_eq!(serde_json::to_value(two).unwrap()["state"], "in-use");
    }
}
