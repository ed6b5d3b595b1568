use std::io;
use std::sync::{Arc, OnceLock};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::sys::thread_priority;

/// A thread that reads and encodes the log for clients, started by the first of them and ended with
/// the last clone. It works when nothing else wants the processor: however many clients follow, the
/// loop captures output and answers requests as fast as without them.
#[derive(Clone, Default)]
pub(super) struct FollowerThread {
    started: Arc<OnceLock<Option<FollowerRuntime>>>,
}

struct FollowerRuntime {
    handle: Handle,
    /// Ends the thread when it is dropped.
    _end: oneshot::Sender<()>,
}

impl FollowerThread {
    /// Returns the runtime of the thread, or the current one if there is none.
    pub fn runtime(&self) -> Handle {
        let started = self.started.get_or_init(|| match start() {
            Ok(started) => Some(started),
            Err(error) => {
                tracing::warn!(%error, "cannot start a thread for those who follow the log");
                None
            }
        });
        started.as_ref().map_or_else(Handle::current, |one| one.handle.clone())
    }
}

fn start() -> io::Result<FollowerRuntime> {
    let lower = || {
        if let Err(error) = thread_priority::lower() {
            tracing::debug!(%error, "cannot lower the priority of a thread");
        }
    };
    let runtime = Builder::new_current_thread().enable_time().on_thread_start(lower).build()?;
    let (end, ended) = oneshot::channel::<()>();
    let handle = runtime.handle().clone();
    let run = move || {
        lower();
        // Resolves when the sender is dropped.
        let _ = runtime.block_on(ended);
        // A disk that hangs must not keep it.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name("followers".to_owned()).spawn(run)?;
    Ok(FollowerRuntime { handle, _end: end })
}
