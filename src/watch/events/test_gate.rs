/// Lets tests hold back events and observe the worker thread.
#[derive(Debug, Default)]
pub(super) struct TestGate {
    /// Events accumulate and are not handed out.
    pub shut: bool,
    pub paused: bool,
}
