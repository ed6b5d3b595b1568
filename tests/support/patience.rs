use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks of `eventually`: short enough to cost a test nothing, long enough to leave the machine alone.
const LOOK: Duration = Duration::from_millis(10);

/// How long a wait may last before it is a failure. Generous, because a loaded machine is no defect; what hangs,
/// hangs for ever. `DEVSTACK_TEST_PATIENCE` (seconds) changes it.
pub fn patience() -> Duration {
    static PATIENCE: OnceLock<Duration> = OnceLock::new();
    *PATIENCE.get_or_init(|| {
        let seconds = std::env::var("DEVSTACK_TEST_PATIENCE").ok();
        let seconds = seconds
            .map(|text| text.parse().expect("DEVSTACK_TEST_PATIENCE is a number of seconds"));
        Duration::from_secs(seconds.unwrap_or(30))
    })
}

/// Looks again and again until there is something to see. Only for what the system tells nobody: a process of
/// somebody else that ends, a server that begins to listen, a file that another program writes.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(patience(), look).unwrap_or_else(|| panic!("waited {:?} for {what}", patience()))
}

/// The same with another limit; nothing when there was nothing to see.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return Some(seen);
        }
        if Instant::now() >= deadline {
            return None;
        }
        // Nobody wakes this thread; the limit of the wait is its purpose.
        thread::park_timeout(LOOK);
    }
}
