//! Names while services restart and requests go on: none is refused, and none gets an old run.
//! `benches/names.py` does the same for longer.

#[cfg(target_os = "linux")]
use std::io::{Read, Write};
#[cfg(target_os = "linux")]
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::names::{Names, WEB, phase};
use crate::support::{TestProject, eventually, service};

/// How many clients ask at the same time.
const CLIENTS: usize = 4;

/// The processes of the runs of a service that are known to have been ready, in their order.
#[derive(Default)]
struct KnownRuns(Mutex<Vec<u64>>);

impl KnownRuns {
    fn all(&self) -> Vec<u64> {
        self.0.lock().expect("no panic before").clone()
    }

    /// Waits for another run that is ready.
    #[track_caller]
    fn wait_next(&self, names: &Names, project: &TestProject, name: &str) {
        let last = self.all().last().copied();
        let next = eventually("the next run", || {
            let ps = names.devstack(project, &["ps", "--json"]).run().json();
            let view = service(&ps, name);
            let pid = view["pid"].as_u64().filter(|_| view["phase"] == "ready");
            pid.filter(|pid| Some(*pid) != last)
        });
        self.0.lock().expect("no panic before").push(next);
    }
}

/// Asks for a name without a pause while `act` runs. Every request is answered, and not by a run
/// that is older than one that was known to be ready before. Returns how many requests.
fn under_load(names: &Names, name: &str, runs: &KnownRuns, act: impl FnOnce()) -> usize {
    let ended = AtomicBool::new(false);
    let client = || {
        let mut answered = 0;
        while !ended.load(Ordering::Relaxed) {
            let before = runs.all().len();
            let reply = names.ask(name).expect("an answer");
            assert_eq!(reply.status, 200, "{reply:?}");
            let pid = reply.json()["pid"].as_u64().expect("a pid");
            let known = runs.all();
            // One that is not known yet is newer.
            let run = known.iter().position(|run| *run == pid);
            assert!(run.is_none_or(|run| run + 1 >= before), "{pid} of {known:?}, {before}");
            answered += 1;
        }
        answered
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        // Also if the test fails.
        let end = SetAtEnd(&ended);
        act();
        drop(end);
        clients.into_iter().map(|client| client.join().expect("no request failed")).sum()
    })
}

struct SetAtEnd<'f>(&'f AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn saves_under_load_lose_no_request() {
    let (names, shop) = Names::new();
    let watched = WEB.replace("ready =", "watch = [\"src/**\"]\nready =");
    shop.write("src/app", "0");
    shop.configure(&format!("[stack]\nname = \"shop\"\n{watched}"));
    let up = names.up(&shop);
    names.wait_for("web.shop.localhost", 200);
    let runs = KnownRuns::default();
    runs.wait_next(&names, &shop, "web");
    let answered = under_load(&names, "web.shop.localhost", &runs, || {
        for save in 1..=10 {
            shop.write("src/app", &save.to_string());
            runs.wait_next(&names, &shop, "web");
            if save == 5 {
                // More in a row could be its own.
                names.devstack(&shop, &["restart", "web"]).run().expect_code(0);
                runs.wait_next(&names, &shop, "web");
            }
        }
    });
    assert_eq!(runs.all().len(), 12);
    assert!(answered > 10, "{answered}");
    up.end();
    names.finish([shop]);
}

#[test]
fn a_rolling_restart_loses_no_request() {
    let (names, shop) = Names::new();
    let three = WEB.replace("ready =", "replicas = 3\nready =");
    shop.configure(&format!("[stack]\nname = \"shop\"\n{three}"));
    let up = names.up(&shop);
    names.wait_for("web.shop.localhost", 200);
    // Of a group, every run is right.
    let answered = under_load(&names, "web.shop.localhost", &KnownRuns::default(), || {
        for replica in ["web-1", "web-2", "web-3"] {
            names.devstack(&shop, &["restart", replica]).run().expect_code(0);
            assert_eq!(phase(&names, &shop, replica), "ready");
        }
    });
    assert!(answered > 3, "{answered}");
    up.end();
    names.finish([shop]);
}

/// In KiB.
#[cfg(target_os = "linux")]
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number")
}

/// A client with an address of its own for every 1000 connections, so that others do not run out of
/// ports.
#[cfg(target_os = "linux")]
fn idle_client(number: u32, port: u16) -> TcpStream {
    use std::net::{Ipv4Addr, SocketAddr};

    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

    let own = Ipv4Addr::from(Ipv4Addr::new(127, 0, 0, 2).to_bits() + number / 1000);
    let client = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&client, &SocketAddr::from((own, 0))).expect("an address");
    connect(&client, &SocketAddr::from((Ipv4Addr::LOCALHOST, port))).expect("the front door");
    client.into()
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_idle_connections_take_little_memory_and_disturb_nobody() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// For each connection, in KiB, in a debug build.
    const EACH: u64 = 24;

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit");
    // For other tests and the front door's own, two for each request.
    let most = limit.maximum.map_or(10_000, |most| most.saturating_sub(2_000).min(10_000));
    let most = u32::try_from(most).expect("a small number");
    if most < 10_000 {
        eprintln!("only {most} connections: the hard limit of open files is {:?}", limit.maximum);
    }
    let (names, shop) = Names::new();
    let up = names.up(&shop);
    names.wait_for("web.shop.localhost", 200);
    let door = names.door();
    let before = memory(door);
    let host = format!("web.shop.localhost:{}", names.port);
    let idle: Vec<TcpStream> = (0..most)
        .map(|number| {
            let mut client = idle_client(number, names.port);
            // Some within a head, some after a response, some before all that.
            match number % 10 {
                0..3 => write!(client, "GET / HTTP/1.1\r\nHost: {host}").expect("it is sent"),
                3 => {
                    write!(client, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("it is sent");
                    let mut status = [0; 12];
                    client.read_exact(&mut status).expect("a response");
                    assert_eq!(&status, b"HTTP/1.1 200");
                }
                _ => {}
            }
            client
        })
        .collect();
    names.wait_for("web.shop.localhost", 200);
    let grown = memory(door).saturating_sub(before);
    assert!(grown < u64::from(most) * EACH, "{grown} KiB for {most} connections");
    drop(idle);
    assert_eq!(names.door(), door);
    names.wait_for("web.shop.localhost", 200);
    up.end();
    names.finish([shop]);
}
