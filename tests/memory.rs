//! How much memory the supervisor keeps after it was asked much at once.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::fs;
use std::path::Path;
use std::thread;

use crate::support::{TestProject, eventually, http_socket};

const SERVICES: usize = 20;
const CLIENTS: usize = 48;
const ROUNDS: usize = 2;

/// Most that is kept once it is at rest again, in KiB: of 5,400 to 6,400, 3,300 are in use, and the rest
/// are pages that single blocks keep from the system. It was more by one to two megabytes when the heap
/// was left as it is, and three times this when whatever was asked at once was worked on at once.
const MOST: u64 = 10_240;

/// Anonymous memory of a process, in KiB. Without pages of files, which the loader changes in a larger
/// program more than in a smaller one.
fn anonymous(pid: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("it lives");
    let mut of_file = false;
    let mut sum = 0;
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["Anonymous:", size, "kB"] if !of_file => sum += size.parse::<u64>().expect("a number"),
            // A mapping: addresses, rights, offset, device, inode, path.
            [addresses, _, _, _, inode, ..] if addresses.contains('-') => of_file = inode != "0",
            _ => {}
        }
    }
    sum
}

fn ask(socket: &Path, method: &str, path: &str, body: &str) {
    let reply = http_socket(socket, method, path, body).expect("it answers");
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
}

#[test]
fn a_busy_session_keeps_little_memory_and_no_more_with_time() {
    let project = TestProject::new();
    let service = |at| {
        let print = "for i in $(seq 500); do echo a line of some length, $i; done";
        let command = format!("{print}; exec {{misbehave}} run");
        format!("[services.s{at}]\ncommand = '{command}'\n")
    };
    let config: String = (0..SERVICES).map(service).collect();
    let file: String =
        (0..100).map(|at| format!("VARIABLE_{at}=a value of some length\n")).collect();
    project.write(".env", &file);
    project.configure(&config);
    let up = project.up();
    let socket = project.socket();
    let follow = project.devstack(["logs", "-f"]).start();
    follow.wait_for("a line of some length, 500");
    let round = |number: usize| {
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    ask(&socket, "GET", "/v1/plan", "");
                    ask(&socket, "GET", "/v1/logs?last=1000", "");
                    ask(&socket, "GET", "/v1/env?service=s1", "");
                    ask(&socket, "GET", "/v1/why?service=s1", "");
                    ask(&socket, "GET", "/v1/stack", "");
                });
            }
        });
        project.configure(&format!("{config}# round {number}\n"));
        for at in 0..4 {
            let body = format!(r#"{{"services": ["s{at}"]}}"#);
            ask(&socket, "POST", "/v1/restart", &body);
        }
    };
    for rounds in [0..ROUNDS, ROUNDS..2 * ROUNDS] {
        rounds.for_each(round);
        // Whatever wakes it lets it give memory back, after a while.
        eventually("it keeps little", || {
            ask(&socket, "GET", "/v1/stack", "");
            let kept = anonymous(up.pid());
            (kept <= MOST).then(|| println!("{kept} KiB"))
        });
    }
    follow.end();
    project.end(&up);
}
