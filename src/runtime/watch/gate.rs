/// What a test holds back in the inbox, and what it has learned of the watching thread.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Events gather and are not handed out.
    pub shut: bool,
    /// The watching thread has let time pass.
    pub paused: bool,
}
