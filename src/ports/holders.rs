use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::belonging::{Belonging, is_orphan};
use super::container::docker_forwarders;
use super::holder::Process;
use super::{Holder, Listener, system};

/// Who listens on `port`, the longest-running process first. A listener whose process is not shown gives a holder without pid.
/// Empty: nobody listens, or the system shows nothing. Takes milliseconds.
pub fn holders(port: u16) -> Vec<Holder> {
    let found = system::listeners(Some(port)).unwrap_or_default();
    name_holders(&found).remove(&port).unwrap_or_default()
}

/// [`holders`] of several ports for the price of one.
pub fn holders_of(ports: &BTreeSet<u16>) -> BTreeMap<u16, Vec<Holder>> {
    if ports.is_empty() {
        return BTreeMap::new();
    }
    let mut found = system::listeners(None).unwrap_or_default();
    found.retain(|listener| ports.contains(&listener.address.port()));
    name_holders(&found)
}

/// The holders of these listeners by port.
pub(super) fn name_holders(listeners: &[Listener]) -> BTreeMap<u16, Vec<Holder>> {
    if listeners.is_empty() {
        return BTreeMap::new();
    }
    let pids = system::pids_by_socket(&listeners.iter().map(|listener| listener.socket).collect());
    let mut by_port: BTreeMap<u16, Found> = BTreeMap::new();
    for listener in listeners {
        let found = by_port.entry(listener.address.port()).or_default();
        let forwarders;
        let known = match pids.get(&listener.socket) {
            Some(pids) => pids,
            None => {
                forwarders = docker_forwarders(listener);
                &forwarders
            }
        };
        let address = listener.address.ip();
        for pid in known {
            found.pids.entry(*pid).or_default().insert(address);
        }
        if known.is_empty() {
            found.hidden.entry(listener.uid).or_default().insert(address);
        }
    }
    let mut belonging = Belonging::new();
    by_port.into_iter().map(|(port, found)| (port, found.named(&mut belonging))).collect()
}

/// What was found out about one port.
#[derive(Default)]
struct Found {
    pids: BTreeMap<u32, BTreeSet<IpAddr>>,
    /// The users of sockets whose processes are not shown.
    hidden: BTreeMap<Option<u32>, BTreeSet<IpAddr>>,
}

impl Found {
    fn named(mut self, belonging: &mut Belonging) -> Vec<Holder> {
        let mut processes: Vec<Process> =
            self.pids.keys().copied().filter_map(system::process).collect();
        // A server that shares its socket with workers is older than they are; but a devstack that passes one to a
        // service only keeps it for that.
        let passes = |process: &Process| process.name == "devstack";
        processes.sort_by_key(|process| (passes(process), Reverse(process.age), process.pid));
        let mut shown = |process: &Process| {
            let origin = belonging.origin(process);
            let orphan = is_orphan(process, origin.as_ref());
            let addresses = self.pids.remove(&process.pid).unwrap_or_default();
            let addresses = addresses.into_iter().collect();
            Holder { origin: origin.map(Box::new), orphan, addresses, ..Holder::of(process) }
        };
        let mut holders: Vec<Holder> = processes.iter().map(&mut shown).collect();
        holders.extend(self.hidden.into_iter().map(|(uid, addresses)| Holder {
            addresses: addresses.into_iter().collect(),
            ..Holder::hidden(uid)
        }));
        holders
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::Duration;

    use super::holders;

    /// What it costs to name a holder among many processes, each with some open files.
    #[test]
    #[ignore = "a measurement: cargo test --lib cost_of_naming -- --ignored --nocapture"]
    fn cost_of_naming() {
        const PROCESSES: usize = 300;
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let start = || Command::new("sleep").arg("1000").spawn().unwrap();
        let mut others: Vec<Child> = (0..PROCESSES).map(|_| start()).collect();
        // Of this thread, so that a busy machine does not count.
        let now = || {
            let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: `now` is a timespec that outlives the call.
            unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
            Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
        };
        let mut times: Vec<_> = (0..50)
            .map(|_| {
                let begin = now();
                assert_eq!(holders(port)[0].pid, Some(std::process::id()));
                now() - begin
            })
            .collect();
        times.sort();
        println!("median {:?}, slowest {:?}", times[times.len() / 2], times[times.len() - 1]);
        for other in &mut others {
            other.kill().unwrap();
            other.wait().unwrap();
        }
    }
}
