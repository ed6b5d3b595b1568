//! The other tests, as on a system that cannot mark processes: each run has a keeper of its own.

use std::process::Command;

/// Set in the processes of these tests.
const KEEPERS: &str = "DEVSTACK_TEST_KEEPERS";

/// Whether each run has a keeper.
pub fn per_run() -> bool {
    std::env::var_os(KEEPERS).is_some()
}

#[test]
fn all_holds_with_a_keeper_for_each_run() {
    if per_run() {
        return;
    }
    let mut tests = Command::new(std::env::current_exe().expect("we run from a file"));
    tests.args(["--skip", "keepers::"]).env(KEEPERS, "1");
    let output = tests.output().expect("the test binary can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("test kills::nothing_outlives_a_killed_keeper ... ok"), "{text}");
}
