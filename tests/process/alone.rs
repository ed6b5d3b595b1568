//! Tests in processes of their own.

use std::process::{Child, Command, Stdio};

/// Names the role that this process plays.
const ROLE: &str = "DEVSTACK_TEST_ROLE";

/// Whether this process was started to play this role. Then it may fork.
pub fn plays(role: &str) -> bool {
    let plays = std::env::var_os(ROLE).is_some_and(|value| value == role);
    if plays {
        // SAFETY: with `--test-threads=1` the harness only waits for this one test, and holds no lock.
        unsafe { devstack::process::allow_idle_threads() };
    }
    plays
}

/// The test binary again, to run only this test, in this role.
pub fn actor(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("we run from a file"));
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command
}

/// Runs `body`, a closure in a test, in a process of its own where no other thread does anything, as `main` would: it may fork
/// a guard there, and count descriptors and children without meeting those of other tests.
pub fn alone<F: FnOnce()>(body: F) {
    // `crate::module::test::{{closure}}`
    let path = std::any::type_name::<F>();
    let test = path.split_once("::").expect("a path").1.trim_end_matches("::{{closure}}");
    if plays(test) {
        return body();
    }
    let output = actor(test, test).output().expect("the test binary can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test} failed:\n{text}\n{errors}");
    assert!(text.contains("1 passed"), "{test} was not run:\n{text}");
}

/// Starts the binary in a role of this test; its stdout can be read.
pub fn start_role(test: &str, role: &str) -> Child {
    actor(test, role).stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().expect("it can be run")
}
