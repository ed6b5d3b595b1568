use std::collections::{BTreeMap, BTreeSet};

use super::process_identity::ProcessIdentity;
use super::process_record::ProcessRecord;
use crate::process::stack_mark::StackMark;
use crate::sys::process;
use crate::sys::process_stat::ProcessStat;

/// The environment variable that every process of a service inherits.
pub(crate) const TOKEN_VAR: &str = "DEVSTACK_RUN";

/// The processes of a record at one moment.
pub(super) struct OrphanScan {
    pub orphans: BTreeMap<ProcessIdentity, String>,
    /// Guard and keepers of the record, which end the same processes.
    pub helpers: BTreeSet<ProcessIdentity>,
}

impl OrphanScan {
    /// Processes in `seen` stay orphans: once the parent has exited, nothing else identifies them.
    pub fn look(record: &ProcessRecord, seen: &BTreeMap<ProcessIdentity, String>) -> OrphanScan {
        let table: BTreeMap<u32, ProcessStat> = process::processes()
            .into_iter()
            .filter_map(|pid| Some((pid, process::process_stat(pid)?)))
            .collect();
        let lives = |who: &ProcessIdentity| table.get(&who.pid).is_some_and(|p| p.born == who.born);
        let keepers = record.runs.values().map(|[keeper, _]| *keeper);
        let helpers: BTreeSet<u32> =
            keepers.chain(record.guard).filter(lives).map(|who| who.pid).collect();
        let mains = record.runs.values().map(|[_, main]| *main);
        let known = mains.chain(seen.keys().copied()).filter(lives);
        let mark = StackMark::of_token(&record.token);
        let marked = table.keys().copied().filter(|pid| {
            mark.is_some_and(|mark| mark.is_on(*pid))
                || process::env_var_of(*pid, TOKEN_VAR).is_some_and(|value| value == record.token)
        });
        let roots = known.map(|who| who.pid).chain(marked).chain(helpers.iter().copied());
        let mut found = with_descendants(roots.collect(), &table);
        for pid in ancestry(std::process::id(), &table) {
            found.remove(&pid);
        }
        let identity = |pid: &u32| {
            let process = table.get(pid).filter(|process| !process.zombie)?;
            Some((ProcessIdentity { pid: *pid, born: process.born }, process.name.clone()))
        };
        let orphans = found.difference(&helpers).filter_map(identity).collect();
        let helpers = helpers.iter().filter_map(identity).map(|(who, _)| who).collect();
        OrphanScan { orphans, helpers }
    }
}

fn with_descendants(mut found: BTreeSet<u32>, table: &BTreeMap<u32, ProcessStat>) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, process) in table {
        children.entry(process.parent).or_default().push(*pid);
    }
    let mut next: Vec<u32> = found.iter().copied().collect();
    while let Some(pid) = next.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if found.insert(*child) {
                next.push(*child);
            }
        }
    }
    found
}

/// A process and its ancestors: this devstack may have been started by an orphan.
fn ancestry(mut pid: u32, table: &BTreeMap<u32, ProcessStat>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    while found.insert(pid)
        && let Some(process) = table.get(&pid)
    {
        pid = process.parent;
    }
    found
}
