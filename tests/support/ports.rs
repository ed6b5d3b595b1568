use std::fs::{self, File};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock};

/// The port range of tests: below the usual ephemeral ranges, so that no connection takes one by
/// chance; below what `auto` assigns and suggests (from 15,000), so that no other stack does; and
/// above the ports that programs prefer.
const RANGE: Range<u16> = 11_500..15_000;

/// Ports reserved after the requested ones: `next` moves there.
const SPARE: u16 = 6;

/// Holds a port until dropped.
pub struct PortOccupier {
    listener: TcpListener,
}

impl PortOccupier {
    pub fn port(&self) -> u16 {
        self.listener.local_addr().expect("it listens").port()
    }
}

/// Holds a port on 127.0.0.1; for devstack the holder is the test program.
#[track_caller]
pub fn occupy(port: u16) -> PortOccupier {
    occupy_on("127.0.0.1", port)
}

/// Holds a port on an address: `127.0.0.1`, `::1`, `0.0.0.0`, `::`. Connections are not answered.
#[track_caller]
pub fn occupy_on(address: &str, port: u16) -> PortOccupier {
    let listener = TcpListener::bind((address, port));
    PortOccupier {
        listener: listener.unwrap_or_else(|error| panic!("cannot hold {address}:{port}: {error}")),
    }
}

/// Programs prefer their usual ports, and each test has its own leases: only one such test may run
/// at a time.
pub fn lock_usual_ports() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a port that is free on every address and reserved while this test program runs.
#[track_caller]
pub fn free_port() -> u16 {
    free_ports(1)
}

/// Returns the first of `count` such ports in a row. A few more after them are free as well, for a
/// service that moves.
#[track_caller]
pub fn free_ports(count: u16) -> u16 {
    /// Next offset, and the locks that keep other test programs away until this one exits.
    static TAKEN: Mutex<(Option<u16>, Vec<File>)> = Mutex::new((None, Vec::new()));
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let width = RANGE.end - RANGE.start;
    // Test programs running in parallel start at different offsets; the locks keep them apart.
    let mut offset = taken.0.unwrap_or((std::process::id() * 97 % u32::from(width)) as u16);
    let all = count + SPARE;
    for _ in 0..width {
        let first = RANGE.start + offset;
        if first + all > RANGE.end {
            offset = 0;
            continue;
        }
        offset += all;
        let locks: Option<Vec<File>> = (first..first + all).map(take).collect();
        if let Some(locks) = locks {
            taken.0 = Some(offset);
            taken.1.extend(locks);
            return first;
        }
    }
    panic!("no {count} free ports in a row in {RANGE:?}");
}

/// Locks a port, if it is free and not locked.
fn take(port: u16) -> Option<File> {
    let dir = std::env::temp_dir().join("devstack-test-ports");
    fs::create_dir_all(&dir).expect("the temporary directory is writable");
    let file = File::options().create(true).append(true).open(dir.join(port.to_string())).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    is_free(port).then_some(file)
}

fn is_free(port: u16) -> bool {
    let addresses: [std::net::IpAddr; 4] = [
        Ipv4Addr::LOCALHOST.into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv6Addr::UNSPECIFIED.into(),
    ];
    // An address that this machine does not have cannot be in use.
    let held = |error: std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
    addresses
        .into_iter()
        .all(|address| !TcpListener::bind(SocketAddr::new(address, port)).is_err_and(held))
}
