//! Many restarts, and what is left of them: nothing.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::support::{
    MarkerLog, RunningProgram, TestProject, eventually, guard, http_socket, service,
};

/// How many restarts: 1,000 unless `DEVSTACK_RESTARTS` says otherwise.
fn count() -> usize {
    std::env::var("DEVSTACK_RESTARTS")
        .ok()
        .map_or(1000, |text| text.parse().expect("DEVSTACK_RESTARTS is a number"))
}

/// What a process holds: descriptors, and resident memory in KiB.
fn holds(pid: u32) -> (usize, u64) {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has some");
    let rss = rss.trim().trim_end_matches("kB").trim();
    (fds, rss.parse().expect("a number"))
}

#[track_caller]
fn restart(socket: &Path, names: &[String]) {
    let body = serde_json::json!({ "services": names }).to_string();
    let reply = http_socket(socket, "POST", "/v1/restart", &body).expect("it answers");
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// Nothing stays of what the restarts needed.
#[track_caller]
fn assert_baseline(up: &RunningProgram, project: &TestProject, before: [(usize, u64); 2]) {
    let guard = guard(up);
    for (pid, (fds, rss)) in [up.pid(), guard].into_iter().zip(before) {
        eventually("descriptors to be closed", || (holds(pid).0 <= fds).then_some(()));
        // What an allocator keeps, the lines of the log in memory, but nothing per restart.
        let now = holds(pid).1;
        assert!(now <= rss + 12 * 1024, "process {pid} grew from {rss} to {now} KiB");
    }
    project.assert_no_zombie();
}

#[test]
fn of_one_service() {
    let project = TestProject::new();
    let config = "[services.api]\ncommand = [\"{misbehave}\", \"marker\", \"marks\"]\n\
                  [services.other]\ncommand = [\"{misbehave}\", \"run\"]\n";
    project.configure(config);
    let up = project.up();
    let other = service(&project.ps(), "other")["pid"].clone();
    let (socket, api) = (project.socket(), ["api".to_owned()]);
    // The first ones fill what is kept from then on.
    (0..20).for_each(|_| restart(&socket, &api));
    let before = [holds(up.pid()), holds(guard(&up))];
    let begin = Instant::now();
    (0..count()).for_each(|_| restart(&socket, &api));
    println!("{} restarts of one service in {:?}", count(), begin.elapsed());
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["restarts"], 20 + count());
    assert_eq!(service(&ps, "other")["pid"], other);
    assert_baseline(&up, &project, before);
    up.end();
    MarkerLog::read(&project.path("marks")).assert_no_overlap();
    project.finish();
}

#[test]
fn of_fifty_services() {
    let project = TestProject::new();
    let names: Vec<String> = (0..50).map(|i| format!("s{i}")).collect();
    let command = "command = [\"{misbehave}\", \"marker\", \"marks\"]";
    let config: String =
        names.iter().map(|name| format!("[services.{name}]\n{command}\n")).collect();
    project.configure(&config);
    let up = project.up();
    let socket = project.socket();
    restart(&socket, &names);
    let before = [holds(up.pid()), holds(guard(&up))];
    let (begin, rounds) = (Instant::now(), count() / names.len());
    for round in 0..rounds {
        // Together, in halves, one by one.
        for part in names.chunks([50, 25, 1][round % 3]) {
            restart(&socket, part);
        }
    }
    println!("{rounds} restarts of each of fifty services in {:?}", begin.elapsed());
    let ps = project.ps();
    assert_eq!(ps["state"], "up");
    for name in &names {
        assert_eq!(service(&ps, name)["restarts"], 1 + rounds, "{name}");
    }
    assert_baseline(&up, &project, before);
    up.end();
    MarkerLog::read(&project.path("marks")).assert_no_overlap();
    project.finish();
}
