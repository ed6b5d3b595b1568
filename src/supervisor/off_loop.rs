//! Jobs that read files or wait for locks, off the loop.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long an answer is waited for: a disk may hang. Usually it takes less than a millisecond.
const LIMIT: Duration = Duration::from_secs(2);

/// Runs a job on a thread for blocking work. `None` if it panicked or takes too long.
pub(super) async fn off_loop<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    timeout(LIMIT, spawn_blocking(job)).await.ok()?.ok()
}
