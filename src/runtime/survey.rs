//! Where services really listen, looked at when they are ready: all ports and addresses, not only those that readiness
//! is about. One look serves everyone who became ready at about the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::probe::{Finding, Report};
use crate::model::{Address, Run};
use crate::ports;

/// So long after a service has become ready the first look is due: the start of others is over or well under way, and
/// most servers have opened all they open.
const FIRST: Duration = Duration::from_millis(200);

/// Then those are looked at again that do not listen on their main port: it may take a server some time when its
/// readiness is not about the port. After the last look nothing is left running.
const AGAIN: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(20)];

/// The looks that are due. Dropping it changes nothing about those under way: their reports are about runs that are over.
pub(super) struct Survey {
    reports: mpsc::UnboundedSender<Report>,
    /// Who is looked at next time; when it is empty, nothing is under way for it.
    due: Arc<Mutex<BTreeMap<Run, Subject>>>,
}

/// A run to look at.
struct Subject {
    tree: Box<dyn Fn() -> Vec<u32> + Send + Sync>,
    /// Its main port.
    port: Option<u16>,
}

impl Survey {
    /// Nothing to look at yet. What is seen goes to `reports`.
    pub fn new(reports: mpsc::UnboundedSender<Report>) -> Survey {
        Survey { reports, due: Arc::default() }
    }

    /// Has a look soon at a run with these processes and this main port. To be called within a runtime.
    pub fn add(
        &self,
        run: Run,
        tree: impl Fn() -> Vec<u32> + Send + Sync + 'static,
        port: Option<u16>,
    ) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let first = due.is_empty();
        due.insert(run, Subject { tree: Box::new(tree), port });
        if first {
            tokio::spawn(follow(self.due.clone(), self.reports.clone()));
        }
    }
}

async fn follow(due: Arc<Mutex<BTreeMap<Run, Subject>>>, reports: mpsc::UnboundedSender<Report>) {
    sleep(FIRST).await;
    let mut subjects = std::mem::take(&mut *due.lock().unwrap_or_else(PoisonError::into_inner));
    let mut early = true;
    for pause in AGAIN.into_iter().chain([Duration::ZERO]) {
        let reports = reports.clone();
        let looked = spawn_blocking(move || look(subjects, early, &reports)).await;
        early = false;
        subjects = match looked {
            Ok(missing) if !missing.is_empty() => missing,
            // An error means that the runtime ends.
            Ok(_) | Err(_) => return,
        };
        sleep(pause).await;
    }
}

/// Reports where these runs listen; gives back those that live and do not listen on their main port.
fn look(
    subjects: BTreeMap<Run, Subject>,
    early: bool,
    reports: &mpsc::UnboundedSender<Report>,
) -> BTreeMap<Run, Subject> {
    let trees: Vec<Vec<u32>> = subjects.values().map(|subject| (subject.tree)()).collect();
    let seen = ports::listening(&trees);
    let mut missing = BTreeMap::new();
    for (((run, subject), tree), listening) in subjects.into_iter().zip(&trees).zip(seen) {
        let Some(listening) = listening.filter(|_| !tree.is_empty()) else { continue };
        let ports = || listening.iter().filter_map(Address::tcp).map(|address| address.port());
        let misses = subject.port.is_some_and(|main| !ports().any(|port| port == main));
        // Without a receiver the stack is ending.
        let _ = reports.send(Report { run, what: Finding::Surveyed { listening, early } });
        if misses {
            missing.insert(run, subject);
        }
    }
    missing
}
