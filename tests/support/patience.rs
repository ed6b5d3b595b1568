use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Poll interval of `eventually`: short enough not to delay a test, long enough not to load the
/// machine.
const LOOK: Duration = Duration::from_millis(10);

/// How long a wait may take before it fails. Generous, because a loaded machine is no defect, and a
/// real hang lasts forever. `DEVSTACK_TEST_PATIENCE` (seconds) overrides it.
pub fn wait_limit() -> Duration {
    static PATIENCE: OnceLock<Duration> = OnceLock::new();
    *PATIENCE.get_or_init(|| {
        let seconds = std::env::var("DEVSTACK_TEST_PATIENCE").ok();
        let seconds = seconds
            .map(|text| text.parse().expect("DEVSTACK_TEST_PATIENCE is a number of seconds"));
        Duration::from_secs(seconds.unwrap_or(30))
    })
}

/// Polls until `look` returns something. Only for what has no event: the exit of a process that is
/// not a child, a server that starts listening, a file written by another program.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_at_most(wait_limit(), look)
        .unwrap_or_else(|| panic!("waited {:?} for {what}", wait_limit()))
}

/// The same with another limit; `None` when it is reached.
pub fn wait_at_most<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if Instant::now() >= deadline {
            return None;
        }
        // Never unparked; used as a sleep.
        thread::park_timeout(LOOK);
    }
}
