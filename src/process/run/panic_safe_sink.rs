use std::panic::{AssertUnwindSafe, catch_unwind};

use super::run_report::{BoxFuture, OutputSink};
use crate::model::{OutputStream, ProcessExit};

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
