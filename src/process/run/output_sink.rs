use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::{OutputStream, ProcessExit};
use crate::sys::pty::Pty;

/// What [`OutputSink::full`] returns.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the output of a run goes.
pub trait OutputSink: Send + 'static {
    /// The run is about to start, with this pty or without one. Not called if it cannot be tried.
    fn starting(&mut self, _terminal: Option<&Arc<Pty>>) {}
    /// Takes bytes as they were read, in order for each stream. Must not block. Lines of a pty end
    /// with `\r\n`.
    fn push(&mut self, stream: OutputStream, bytes: &[u8]);
    /// Resolves when the sink takes more output; `None`: now. The pipes are not read until then.
    fn full(&self) -> Option<BoxFuture> {
        None
    }
    /// When to call [`OutputSink::quiet`], unless output comes before.
    fn quiet_at(&self) -> Option<Instant> {
        None
    }
    /// Nothing came until then: the program may wait for an answer to what it has printed.
    fn quiet(&mut self, _now: Instant) {}
    /// The output has ended. `exit` is that of the main process, if there was one.
    fn closed(&mut self, exit: Option<ProcessExit>);
}

/// A sink that may panic: it then gets no more output, and the run continues.
pub(crate) struct PanicSafeSink<S: OutputSink>(Option<S>);

impl<S: OutputSink> PanicSafeSink<S> {
    pub fn new(sink: S) -> PanicSafeSink<S> {
        PanicSafeSink(Some(sink))
    }

    pub fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.with(|sink| sink.push(stream, bytes));
    }

    /// Resolves when the sink takes more output; `None`: now.
    pub fn full(&mut self) -> Option<BoxFuture> {
        let mut full = None;
        self.with(|sink| full = sink.full());
        full
    }

    /// When to call [`PanicSafeSink::quiet`], unless output comes before.
    pub fn quiet_at(&mut self) -> Option<Instant> {
        let mut at = None;
        self.with(|sink| at = sink.quiet_at());
        at
    }

    pub fn quiet(&mut self, now: Instant) {
        self.with(|sink| sink.quiet(now));
    }

    /// Closes the sink, once, with the exit of the main process, if there was one.
    pub fn close(&mut self, exit: Option<ProcessExit>) {
        self.with(|sink| sink.closed(exit));
        self.0 = None;
    }

    fn with(&mut self, act: impl FnOnce(&mut S)) {
        if let Some(sink) = &mut self.0
            && catch_unwind(AssertUnwindSafe(|| act(sink))).is_err()
        {
            tracing::warn!("service log failed; discarding further output");
            self.0 = None;
        }
    }
}
