//! Much at once, and time that passes without devstack.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::{CTRL_Z, MarkerLog, Signal, TestProject, eventually, service};

/// How many services may be started again in a second.
const RESPAWNS_A_SECOND: usize = 20;

#[test]
fn two_hundred_crashes_at_once_leave_the_program_responsive() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    // The first time they crash together, then they stay.
    let config: String = (0..200)
        .map(|i| {
            format!(
                "[services.s{i}]\ncommand = \"test -e s{i} || {{ touch s{i}; : < gate; exit 1; }}; \
                 exec {{misbehave}} marker marks\"\nrestart = {{ delay = '1ms' }}\n"
            )
        })
        .collect();
    project.configure(&config);
    let up = project.devstack(["up"]).start();
    eventually("all of them to wait", || {
        (0..200).all(|i| project.path(format!("s{i}")).exists()).then_some(())
    });
    gate.open();
    up.wait_for("exit 1; attempt 2");
    let begin = Instant::now();
    let ps = project.ps();
    println!("ps answered after {:?} in a storm", begin.elapsed());
    assert_eq!(ps["services"].as_array().map(Vec::len), Some(200));
    let name = |i: usize| format!("s{i}");
    let markers = eventually("all of them to be back", || {
        let markers = MarkerLog::read(&project.path("marks"));
        (0..200).all(|i| markers.count("start", &name(i)) == 1).then_some(markers)
    });
    let mut starts: Vec<u64> = (0..200)
        .flat_map(|i| markers.of(&name(i)).map(|mark| mark.nanos).collect::<Vec<_>>())
        .collect();
    starts.sort();
    // Orders are exact; when a process writes its mark is up to the machine. So the whole is measured.
    let took = Duration::from_nanos(starts[199] - starts[0]);
    let least = Duration::from_secs((200 / RESPAWNS_A_SECOND) as u64 - 2);
    assert!(took >= least, "200 respawns within {took:?}");
    project.end(&up);
}

#[test]
fn a_hundred_deaf_services_in_layers_end_within_their_graces() {
    let project = TestProject::new();
    let config: String = (0..100)
        .map(|i| {
            let needs = if i < 25 { String::new() } else { format!("\"s{}\"", i - 25) };
            format!(
                "[services.s{i}]\ncommand = [\"{{misbehave}}\", \"ignore\", \"TERM\"]\n\
                 depends_on = [{needs}]\nstop = {{ grace = \"400ms\" }}\n"
            )
        })
        .collect();
    project.configure(&config);
    let up = project.up();
    up.wait_count(100, "| ready");
    let begin = Instant::now();
    up.end();
    let took = begin.elapsed();
    println!("100 deaf services in 4 layers ended after {took:?}");
    // Each layer has its own grace, and no service waits for another of its layer.
    assert!(took >= Duration::from_millis(4 * 400), "{took:?}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert_eq!(project.alive(), []);
    project.finish();
}

/// A service that is late, one that waits for its next start, one that is about to be killed, each after LIMIT.
const TIMED: &str = r#"
    [services.late]
    command = ["{misbehave}", "run"]
    ready = { log = "never", timeout = "LIMIT" }
    [services.crash]
    command = "echo crashing $$; exit 1"
    restart = { delay = "LIMIT", max_delay = "LIMIT" }
    [services.slow]
    command = ["{misbehave}", "slow-stop", "100000"]
    stop = { grace = "LIMIT" }
    [services.good]
    command = ["{misbehave}", "marker", "marks", "--trap"]
    "#;

/// So long in seconds. A machine that takes more than half of one for the little that happens before and after the
/// pause proves nothing; then the next is tried. Less than the patience of the tests: in the end one does not stop on its own.
const LIMITS: [u64; 3] = [4, 10, 25];

/// How much longer the pause is.
const MORE: Duration = Duration::from_secs(1);

/// Fails unless an attempt comes to an end in time; each gets one of the limits, and half of it as a duration.
#[track_caller]
fn in_time(attempt: impl Fn(u64, Duration) -> Option<()>) {
    let half = |limit: u64| Duration::from_secs(limit) / 2;
    let done = LIMITS.into_iter().any(|limit| attempt(limit, half(limit)).is_some());
    assert!(done, "this machine is too loaded to say anything");
}

#[test]
fn no_deadline_counts_the_time_that_devstack_was_stopped() {
    in_time(deadlines_and_a_stop);
}

fn deadlines_and_a_stop(limit: u64, half: Duration) -> Option<()> {
    let project = TestProject::with_config(&TIMED.replace("LIMIT", &format!("{limit}s")));
    let begin = Instant::now();
    let up = project.devstack(["up"]).start();
    up.wait_for("slow  | ready");
    up.wait_for("good  | ready");
    up.wait_for(&format!("attempt 2 in {limit}s"));
    let before = project.ps();
    let stop = project.devstack(["stop", "slow"]).start();
    up.wait_for("slow  | stopping");
    up.stop();
    let took = begin.elapsed();
    // The pause is what is tested; nothing is waited for.
    std::thread::park_timeout(half * 2 + MORE);
    up.signal(Signal::CONT);
    let awake = Instant::now();
    // An answer means that everything that was due is decided.
    let ps = project.ps();
    println!("asked {:?} after the pause", awake.elapsed());
    if took.max(awake.elapsed()) >= half {
        up.end();
        stop.wait_exit();
        project.finish();
        return None;
    }
    assert_eq!(service(&ps, "late")["phase"], "starting", "{ps}");
    assert_eq!(service(&ps, "crash")["phase"], "backoff", "{ps}");
    assert_eq!(service(&ps, "slow")["phase"], "stopping", "{ps}");
    assert_eq!(service(&ps, "good")["pid"], service(&before, "good")["pid"]);
    // They are late, not gone.
    up.wait_for(&format!("late  * not ready yet after {limit}s"));
    up.wait_for(&format!("slow did not stop within {limit}s; killing it"));
    up.wait_count(2, "crash * starting");
    assert_eq!(stop.wait_code(), 0);
    project.end(&up);
    Some(())
}

#[test]
fn ctrl_z_pauses_devstack_and_fg_goes_on() {
    let Some(bash) = crate::support::require_program("bash") else { return };
    in_time(|limit, half| deadlines_and_ctrl_z(&bash, limit, half));
}

fn deadlines_and_ctrl_z(bash: &std::path::Path, limit: u64, half: Duration) -> Option<()> {
    let project = TestProject::with_config(&TIMED.replace("LIMIT", &format!("{limit}s")));
    // A shell with job control, as a person has it.
    let script = "set -m; \"$0\" up; echo stopped; read line; fg; echo code $?";
    let begin = Instant::now();
    let shell = project.program(bash).args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
    let shell = shell.terminal(30, 100).start();
    shell.wait_for("good  | ready");
    shell.wait_for(&format!("attempt 2 in {limit}s"));
    let lives = |ps: &serde_json::Value| {
        ["late", "slow", "good"].iter().all(|name| service(ps, name)["pid"].is_u64())
    };
    let before = project.wait_ps(lives);
    shell.write(CTRL_Z);
    shell.wait_line(|line| line == "stopped");
    let took = begin.elapsed();
    // The services continue: nothing stopped them.
    for name in ["late", "slow", "good"] {
        let pid = &service(&before, name)["pid"];
        if cfg!(target_os = "linux") {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
            assert!(!stat.contains(") T "), "{stat}");
        }
    }
    std::thread::park_timeout(half * 2 + MORE);
    let place = shell.here();
    shell.write(b"\n");
    let awake = Instant::now();
    let ps = project.wait_ps(|_| true);
    if took.max(awake.elapsed()) >= half {
        shell.write(b"\x03");
        shell.wait_exit();
        project.finish();
        return None;
    }
    assert_eq!(service(&ps, "late")["phase"], "starting", "{ps}");
    for name in ["late", "slow", "good"] {
        assert_eq!(service(&ps, name)["pid"], service(&before, name)["pid"], "{name}");
        assert_eq!(service(&ps, name)["restarts"], 0, "{name}");
    }
    shell.wait_since(place, "crash * starting");
    shell.write(b"\x03");
    shell.wait_exit();
    project.finish();
    Some(())
}

#[test]
fn nohup_outlives_the_window() {
    let project = TestProject::with_config(
        "[services.api]\ncommand = [\"{misbehave}\", \"signals\", \"HUP\"]\n",
    );
    let script = "trap '' HUP; exec \"$0\" up > log 2>&1 < /dev/null";
    let shell = project.program("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
    let up = shell.terminal(30, 100).start();
    let before = project.wait_ps(|ps| ps["state"] == "up");
    eventually("the service to be ready", || {
        project.read("log").contains("api | ready").then_some(())
    });
    up.hang_up();
    up.signal(Signal::HUP);
    // An answer after the signal: it was not heard.
    let ps = project.ps();
    assert_eq!(
        (&ps["state"], &ps["services"][0]["pid"]),
        (&before["state"], &before["services"][0]["pid"])
    );
    assert!(up.is_running());
    project.devstack(["down"]).run().expect_code(0);
    assert_eq!(up.wait_code(), 0);
    let log = project.read("log");
    assert!(!log.contains("got HUP"), "{log}");
    project.finish();
}

/// devstack as process 1, as in a container.
#[cfg(target_os = "linux")]
const FIRST: &str = r#"
    exec "$0" up > log 2>&1
    "#;

#[cfg(target_os = "linux")]
#[test]
fn it_works_as_the_first_process_of_a_container() {
    use crate::support::{children, require, signal_all, user_namespaces};

    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let project = TestProject::with_config(
        r#"
        [services.tree]
        command = ["{misbehave}", "tree", "plain", "setsid", "double", "--clear-env", "--ignore-term"]
        stop = { grace = "200ms" }
        [services.first]
        kind = "task"
        command = "echo first $(cat /proc/1/comm)"
        [services.orphans]
        command = ["{misbehave}", "orphan", "plain", "setsid", "double"]
        "#,
    );
    let unshare = ["-Urpfmn", "--mount-proc", "/bin/sh", "-c", FIRST];
    let ns = project
        .program("/usr/bin/unshare")
        .args(unshare)
        .args([env!("CARGO_BIN_EXE_devstack")])
        .start();
    let log = || std::fs::read_to_string(project.path("log")).unwrap_or_default();
    eventually("the stack to be up", || {
        let log = log();
        let all = ["tree    | ready", "orphans * done", "first devstack"];
        // The second if `orphans` ended before the summary.
        let summary = ["is up", "1 of 3 exited"].iter().any(|text| log.contains(text));
        (summary && all.iter().all(|text| log.contains(text))).then_some(())
    });
    // Its number out here.
    let first = children(ns.pid(), "devstack");
    assert_eq!(first.len(), 1, "{first:?}");
    project.assert_no_zombie();
    signal_all(&first, Signal::TERM);
    assert_eq!(ns.wait_code(), 143, "{}", log());
    let text = log();
    assert!(text.contains("stopping: "), "{text}");
    assert!(!text.contains("cannot verify"), "{text}");
    project.finish();
}

#[test]
fn starts_are_in_order_of_what_they_need() {
    let project = TestProject::new();
    let mut needs: BTreeMap<usize, String> = BTreeMap::new();
    for i in 0..60_usize {
        // A chain of sixty, with some more needs across.
        let list: Vec<String> = [1, 7, 13]
            .iter()
            .filter_map(|back| i.checked_sub(*back))
            .map(|other| format!("\"s{other}\""))
            .collect();
        needs.insert(i, list.join(", "));
    }
    let config: String = needs
        .iter()
        .map(|(i, list)| {
            format!(
                "[services.s{i}]\nkind = \"task\"\ncommand = \"echo s{i} >> order\"\ndepends_on = [{list}]\n"
            )
        })
        .collect();
    project.configure(&config);
    project.devstack(["up"]).run().expect_code(0);
    let order: Vec<String> = (0..60).map(|i| format!("s{i}")).collect();
    assert_eq!(project.read("order").lines().collect::<Vec<_>>(), order);
    project.finish();
}
