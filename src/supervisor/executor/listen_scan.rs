//! Scans where ready services actually listen: all ports and addresses, not only those of readiness
//! probes. One scan covers all services that became ready at about the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::model::{ListenAddress, RunId};
use crate::ports;
use crate::probe::{ProbeFinding, ProbeReport};
use crate::sync::lock_unpoisoned;

/// Delay of the first scan after a service became ready: by then other services have started or
/// nearly so, and most servers have opened all their ports.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// Delays of repeated scans for services that do not listen on their main port: a server whose
/// readiness does not depend on the port may need some time. Nothing keeps running after the last
/// one.
const RETRY_DELAYS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(20)];

/// Schedules the scans. Scans under way outlive it: they report on runs that are over.
pub(super) struct ListenScan {
    reports: mpsc::UnboundedSender<ProbeReport>,
    /// Targets of the next scan; empty when none is scheduled.
    due: Arc<Mutex<BTreeMap<RunId, ScanTarget>>>,
}

struct ScanTarget {
    tree: Box<dyn Fn() -> Vec<u32> + Send + Sync>,
    /// The main port.
    port: Option<u16>,
}

impl ListenScan {
    pub fn new(reports: mpsc::UnboundedSender<ProbeReport>) -> ListenScan {
        ListenScan { reports, due: Arc::default() }
    }

    /// Schedules a scan for a run with these processes and this main port. Must be called within a
    /// runtime.
    pub fn add(
        &self,
        run: RunId,
        tree: impl Fn() -> Vec<u32> + Send + Sync + 'static,
        port: Option<u16>,
    ) {
        let mut due = lock_unpoisoned(&self.due);
        let first = due.is_empty();
        due.insert(run, ScanTarget { tree: Box::new(tree), port });
        if first {
            tokio::spawn(scan_loop(self.due.clone(), self.reports.clone()));
        }
    }
}

async fn scan_loop(
    due: Arc<Mutex<BTreeMap<RunId, ScanTarget>>>,
    reports: mpsc::UnboundedSender<ProbeReport>,
) {
    sleep(FIRST_DELAY).await;
    let mut subjects = std::mem::take(&mut *lock_unpoisoned(&due));
    let mut early = true;
    for pause in RETRY_DELAYS.into_iter().chain([Duration::ZERO]) {
        let reports = reports.clone();
        let looked = spawn_blocking(move || look(subjects, early, &reports)).await;
        early = false;
        subjects = match looked {
            Ok(missing) if !missing.is_empty() => missing,
            // An error means that the runtime is shutting down.
            Ok(_) | Err(_) => return,
        };
        sleep(pause).await;
    }
}

/// Reports where these runs listen; returns live ones that do not listen on their main port.
fn look(
    subjects: BTreeMap<RunId, ScanTarget>,
    early: bool,
    reports: &mpsc::UnboundedSender<ProbeReport>,
) -> BTreeMap<RunId, ScanTarget> {
    let trees: Vec<Vec<u32>> = subjects.values().map(|subject| (subject.tree)()).collect();
    let seen = ports::listen_addresses(&trees);
    let mut missing = BTreeMap::new();
    for (((run, subject), tree), listening) in subjects.into_iter().zip(&trees).zip(seen) {
        let Some(listening) = listening.filter(|_| !tree.is_empty()) else { continue };
        let ports =
            || listening.iter().filter_map(ListenAddress::tcp).map(|address| address.port());
        let misses = subject.port.is_some_and(|main| !ports().any(|port| port == main));
        // Without a receiver the stack is shutting down.
        let _ = reports.send(ProbeReport { run, what: ProbeFinding::Scanned { listening, early } });
        if misses {
            missing.insert(run, subject);
        }
    }
    missing
}
