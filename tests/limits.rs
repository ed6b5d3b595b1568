//! Limits that are met while a stack runs, and kernels and sandboxes that lack something devstack would like to have.

#![cfg(target_os = "linux")]

use crate::support::{
    Other, Project, misbehave, need, need_that, service, user_namespaces,
};

/// Services that go on, `s00` and so on.
fn services(count: usize) -> String {
    let one = |number| {
        format!(
            "[services.s{number:02}]\ncommand = [\"{}\", \"run\"]\n",
            misbehave().to_str().expect("a plain path")
        )
    };
    (0..count).map(one).collect()
}

const DEVSTACK: &str = env!("CARGO_BIN_EXE_devstack");

#[test]
fn a_stack_that_uses_up_its_descriptors_is_seen_and_mended_from_other_terminals() {
    // A service takes several, so that with one of these limits none at all are left.
    for limit in 60..63 {
        let project = Project::new();
        project.write("devstack.toml", &services(30));
        let script = format!("ulimit -n {limit}; exec \"$0\" up");
        let up = project.program("/bin/sh").args(["-c", &script, DEVSTACK]).start();
        up.wait_for(" of 30 failed");
        let ps = project.ps();
        let of = |name: &str| service(&ps, name).clone();
        assert_eq!(of("s00")["phase"], "ready", "{ps}");
        assert_eq!(of("s29")["phase"], "failed", "{ps}");
        let failed = up.lines().iter().filter(|line| line.contains("* failed: ")).count();
        let said = up.lines().iter().filter(|line| line.contains("too many open files")).count();
        assert!(said >= failed, "{:#?}", up.lines());
        project.devstack(["logs", "s00"]).run().expect_code(0);
        let refused = project.devstack(["start", "s29"]).run().expect_code(1);
        assert!(refused.stderr.contains("ulimit -n"), "{refused:?}");
        // What is stopped makes room.
        project.devstack(["stop", "s00", "s01", "s02", "s03", "s04"]).run().expect_code(0);
        project.devstack(["start", "s29"]).run().expect_code(0);
        assert_eq!(service(&project.ps(), "s05")["restarts"], 0);
        project.devstack(["down"]).run().expect_code(0);
        assert_eq!(up.wait_code(), 0);
        project.finish();
    }
}

#[test]
fn where_no_more_processes_are_allowed_what_runs_runs_on() {
    if !need_that("user namespaces", user_namespaces()) || need("prlimit").is_none() {
        return;
    }
    // Nothing limits root.
    let Some(other) = Other::new() else { return };
    for limit in [4, 8, 11, 14, 17] {
        let project = Project::new();
        std::fs::write(other.folder().join("devstack.toml"), services(8)).expect("we are root");
        // In a namespace of its own only its own processes count.
        let unshare = || other.program(&project, "/usr/bin/unshare".as_ref()).args(["-Ur"]);
        let number = format!("--nproc={limit}");
        let up = unshare().args(["prlimit", &number, "--", DEVSTACK, "up"]).start();
        if limit == 4 {
            assert_eq!(up.wait_code(), 1);
        } else {
            let last = up.wait_for(" of 8 failed");
            assert!(up.lines().iter().any(|line| line.contains("`ulimit -u` shows it")));
            if !last.contains("8 of 8") {
                // It measures and records as ever, which takes a thread.
                let ps = unshare().args([DEVSTACK, "ps"]).run();
                assert!(
                    ps.code() == 0 && ps.stdout.contains("  ready  "),
                    "with {limit}: {ps:?} {:#?}",
                    up.lines()
                );
                up.interrupt();
                assert_eq!(up.wait_code(), 130);
            }
            up.wait_exit();
        }
        let text = up.stdout() + &up.stderr();
        assert!(!text.contains("panicked"), "with {limit}: {text}");
        project.assert_nothing_alive();
        project.finish();
    }
}
