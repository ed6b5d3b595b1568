//! devstack and its guard are killed at once. The next devstack kills exactly what they left.

#![cfg(target_os = "linux")]

use crate::support::{
    OrphanProcess, RunningProgram, TestProject, eventually, leave_behind, misbehaving, require,
    service, user_namespaces,
};

/// Services that leave many orphans once the file `go` is there. Those of `cleared` have neither a
/// variable nor a parent of the service, only its mark.
const LEAVING: &str = r#"
    [services.cleared]
    command = """
        until test -e go; do sleep 0.02; done
        exec {misbehave} tree plain setsid double double --clear-env --ignore-term"""
    [services.deaf]
    command = "{misbehave} ignore TERM HUP & wait"
    [services.tree]
    command = """
        until test -e go; do sleep 0.02; done
        exec {misbehave} tree plain setsid setsid double double"""
    "#;
fn up(project: &TestProject) -> RunningProgram {
    project.configure(LEAVING);
    let up = project.up();
    let ps = project.ps();
    let pids = ["cleared", "deaf", "tree"].map(|name| service(&ps, name)["pid"].to_string());
    // Starts are gathered before they are recorded.
    eventually("the record to be complete", || {
        let record = std::fs::read_to_string(project.path(".devstack/runs.json")).ok()?;
        pids.iter().all(|pid| record.contains(&format!("\"pid\":{pid},"))).then_some(())
    });
    up
}

/// A stack of which only processes are left that made their own sessions, and these.
fn leave(project: &TestProject) -> Vec<OrphanProcess> {
    let others = misbehaving(project).len();
    let shown = ["cleared | ready", "tree    | ready"];
    leave_behind(&up(project), project, &project.path(""), &shown);
    // None of the seven exits on its own. The others die with the guard, but not at the same moment.
    eventually("the rest to die", || {
        let left = misbehaving(project);
        assert!(left.len() >= 7 + others, "{left:?}");
        (left.len() == 7 + others).then_some(left)
    })
}

#[track_caller]
fn names_some_of(text: &str, left: &[OrphanProcess]) {
    // The first five are named.
    let named = left.iter().filter(|one| text.contains(&format!("(pid {})", one.pid))).count();
    assert!(named >= 5, "{text:?} does not name {left:?}");
}

#[test]
fn the_next_up_ends_what_was_left_and_starts() {
    let project = TestProject::new();
    let stranger = project.misbehave(["run"]).start();
    stranger.wait_for("ready");
    let mut left = leave(&project);
    left.retain(|one| one.pid != stranger.pid());
    let again = project.devstack(["up"]).start();
    let note = again.wait_for("terminated leftover processes of an earlier devstack: ");
    names_some_of(&note, &left);
    again.wait_for("is up");
    let now = project.alive();
    for one in &left {
        assert!(!now.iter().any(|other| other.pid == one.pid), "{one:?} is still there");
    }
    assert!(stranger.is_running(), "a stranger was ended");
    again.end();
    project.sockets_must_go();
    assert!(!project.path(".devstack/runs.json").exists());
    drop(stranger);
    project.finish();
}

#[test]
fn down_ends_what_was_left_without_a_stack() {
    let project = TestProject::new();
    assert_eq!(project.devstack(["down"]).run().code(), 3);
    let stranger = project.misbehave(["run"]).start();
    stranger.wait_for("ready");
    let mut left = leave(&project);
    left.retain(|one| one.pid != stranger.pid());
    project.write("sub/file", "");
    let down = project.devstack(["down"]).dir("sub").run().expect_code(0);
    assert!(
        down.stdout.contains("terminated leftover processes of an earlier devstack: "),
        "{down:?}"
    );
    names_some_of(&down.stdout, &left);
    assert_eq!(down.stderr, "");
    assert!(stranger.is_running(), "a stranger was ended");
    let now: Vec<u32> = project.alive().iter().map(|one| one.pid).collect();
    assert_eq!(now, [stranger.pid()]);
    // Once is enough.
    let down = project.devstack(["down"]).run().expect_code(3);
    assert!(down.stderr.contains("no stack is running in this directory"), "{down:?}");
    drop(stranger);
    project.sockets_must_go();
    project.finish();
}

#[test]
fn down_says_it_as_json() {
    let project = TestProject::new();
    leave(&project);
    let down = project.devstack(["down", "--json"]).run().expect_code(0);
    let text = down.json()["text"].as_str().expect("a text").to_owned();
    // Named in the order of their pids, which is not that of their starts.
    assert!(
        text.contains("terminated leftover processes") && text.contains("misbehave (pid "),
        "{text}"
    );
    assert_eq!(project.alive(), []);
    let down = project.devstack(["down", "--json"]).run().expect_code(3);
    assert!(down.stderr.contains("\"class\":\"not-running\""), "{down:?}");
    project.finish();
}

#[test]
fn an_invalid_record_does_not_prevent_a_start() {
    for garbage in ["", "{", "[]", "\u{0}\u{1}", r#"{"version":99}"#] {
        let project =
            TestProject::with_config("[services.api]\ncommand = [\"{misbehave}\", \"run\"]\n");
        let first = project.devstack(["up"]).start();
        first.wait_for("is up");
        first.end();
        project.write(".devstack/runs.json", garbage);
        let up = project.devstack(["up"]).start();
        up.wait_for("runs.json was corrupt and has been renamed to ");
        up.wait_for("is up");
        up.end();
        assert_eq!(project.read(".devstack/runs.json.bad"), garbage);
        project.finish();
    }
}

/// In a number space of its own: kills devstack with all its helpers, gives the number of a recorded process
/// to a stranger, and calls `down`.
const RECYCLED: &str = r#"
    set -eu
    "$0" up > up.log &
    devstack=$!
    record=.devstack/runs.json
    until grep -q '"runs":{"' $record 2>/dev/null; do sleep 0.02; done
    pids=$(grep -o '"pid":[0-9]*' $record | cut -d: -f2)
    set -- $pids
    test $1 = $devstack
    guard=$2 main=$4
    kill -STOP $devstack $guard
    # One of its threads takes the signal, and until that one gets to run the others go on.
    until [ "$(sed 's/.*) //' /proc/$devstack/task/*/stat | cut -c 1 | sort -u)" = T ]; do sleep 0.02; done
    # What the guard did not see outlives it; the main process does not.
    touch go
    until grep -q child said; do sleep 0.02; done
    kill -KILL $guard
    kill -KILL $devstack
    wait $devstack || true
    while test -e /proc/$main; do sleep 0.02; done
    echo $((main - 1)) > /proc/sys/kernel/ns_last_pid
    sleep 1000 &
    stranger=$!
    echo "number $main stranger $stranger"
    "$0" down || true
    kill -0 $stranger && echo "stranger lives"
    ls /proc | grep -c '^[0-9]' | sed 's/^/processes /'
    for p in /proc/[0-9]*; do cat $p/comm 2>/dev/null || true; done | sort | tr '\n' ' '
    "#;

#[test]
fn a_number_that_came_again_is_spared() {
    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let project = TestProject::with_config(
        r#"
        [services.tree]
        command = """
            until test -e go; do sleep 0.02; done
            exec {misbehave} tree setsid --ignore-term > said"""
        "#,
    );
    let unshare = ["-Urpfmn", "--mount-proc", "--kill-child", "/bin/sh", "-c", RECYCLED];
    let ended = project
        .program("/usr/bin/unshare")
        .args(unshare)
        .args([env!("CARGO_BIN_EXE_devstack")])
        .run();
    let out = &ended.stdout;
    let numbers = out.lines().find_map(|line| line.strip_prefix("number ")).expect("it said so");
    let (main, stranger) = numbers.split_once(" stranger ").expect("both");
    if !require("control over process numbers", main == stranger) {
        project.assert_nothing_alive();
        return;
    }
    assert!(
        out.contains("terminated leftover processes of an earlier devstack: misbehave (pid "),
        "{ended:?}"
    );
    assert!(out.contains("stranger lives"), "{ended:?}");
    assert!(!out.lines().last().expect("a list").contains("misbehave"), "{ended:?}");
    // The whole number space went with its first process.
    project.assert_nothing_alive();
}
