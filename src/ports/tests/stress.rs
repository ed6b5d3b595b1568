//! Many stacks that choose ports at the same moment, each in its own process.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::model::{ConflictPolicy, MAIN_PORT, Name, PortKey, PortRequest, WantedPort};
use crate::ports::LeaseDir;
use crate::ports::assign::PortAllocator;

const STACKS: usize = 20;
const SERVICES: u16 = 50;

/// Preferred by all stacks, so that they conflict. Not a range that programs commonly use.
const FIRST: u16 = 5_600;

fn wishes() -> Vec<PortRequest> {
    let request = |at: u16| {
        let prefer = |policy| WantedPort::preferred(NonZeroU16::new(FIRST + at), policy);
        PortRequest {
            key: PortKey::new(&Name::new(&format!("s{at}")).unwrap(), MAIN_PORT),
            wanted: match at % 5 {
                0..=2 => prefer(ConflictPolicy::Next),
                3 => prefer(ConflictPolicy::Auto),
                _ => WantedPort::Any,
            },
            host: "127.0.0.1".to_owned(),
            requested_by: "devstack.toml".to_owned(),
        }
    };
    (0..SERVICES).map(request).collect()
}

/// A process that holds the ports of one stack until it is killed.
struct StressStack {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl StressStack {
    /// Starts the process and waits until it is about to choose.
    fn start(leases: &Path, dir: &Path) -> StressStack {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "ports::tests::stress::stress_child"])
            .env("CROWD_LEASES", leases)
            .env("CROWD_DIR", dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "here"));
        StressStack { child, lines }
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    fn ports(&mut self) -> Vec<u16> {
        let status =
            self.lines.find_map(|line| line.unwrap().strip_prefix("ports ").map(str::to_owned));
        status.unwrap().split(' ').map(|number| number.parse().unwrap()).collect()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
#[ignore = "a process of `twenty_starts_at_once_share_no_port_and_keep_theirs`, which starts it"]
fn stress_child() {
    let Some(dir) = std::env::var_os("CROWD_DIR").map(PathBuf::from) else { return };
    let leases = PathBuf::from(std::env::var_os("CROWD_LEASES").unwrap());
    println!("\nhere");
    let mut input = std::io::stdin().lines();
    input.next();
    let mut ports = PortAllocator::open(&leases, &dir.join("ports.json"), &dir);
    let given = ports.assign(&wishes(), &BTreeMap::new()).unwrap();
    let numbers: Vec<String> = given.values().map(|port| port.number.to_string()).collect();
    println!("ports {}", numbers.join(" "));
    // Exits with the other test, even if that one fails or is killed.
    input.for_each(drop);
}

#[test]
fn twenty_starts_at_once_share_no_port_and_keep_theirs() {
    let place = tempfile::tempdir().unwrap();
    let dir = |at: usize| {
        let dir = place.path().join(format!("worktree-{at}"));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    };
    // On Linux, every second stack has its own lease directory, like a stack of another user.
    let leases = |at: usize| match cfg!(target_os = "linux") && at % 2 == 1 {
        true => place.path().join(format!("leases-{at}")),
        false => place.path().join("leases"),
    };
    let mut stacks: Vec<StressStack> =
        (0..STACKS).map(|at| StressStack::start(&leases(at), &dir(at))).collect();
    stacks.iter_mut().for_each(StressStack::go);
    let given: Vec<Vec<u16>> = stacks.iter_mut().map(StressStack::ports).collect();
    let all: BTreeSet<u16> = given.iter().flatten().copied().collect();
    assert_eq!(all.len(), STACKS * usize::from(SERVICES), "a port was given twice: {given:?}");

    // Each stack in turn is killed, which releases its ports, and gets the same ones again. An
    // unrelated process may take an automatic number in between; then the new ones count.
    for at in 0..STACKS {
        let mut before = given[at].clone();
        let kept = (0..5).any(|_| {
            let again = StressStack::start(&leases(at), &dir(at));
            std::mem::replace(&mut stacks[at], again).kill();
            stacks[at].go();
            let now = stacks[at].ports();
            let own = |all: &[u16]| all.iter().copied().filter(|one| *one < 10_000).collect();
            let (wished, wished_before): (Vec<u16>, Vec<u16>) = (own(&now), own(&before));
            assert_eq!(wished, wished_before, "worktree {at}");
            now == std::mem::replace(&mut before, now.clone())
        });
        assert!(kept, "worktree {at} gets other ports each time");
    }
    stacks.into_iter().for_each(StressStack::kill);
    // Killed stacks hold no leases.
    for at in 0..STACKS {
        let leases = LeaseDir::find(&leases(at)).unwrap();
        assert!(all.iter().all(|port| leases.owner(*port).is_none()), "worktree {at}");
    }
}
