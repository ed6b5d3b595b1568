use super::keyboard::KeyQueue;
use super::nudge::RedrawTrigger;
use super::view::OutputView;

/// A client's connection to a service's terminal. Dropping it detaches.
#[derive(Debug)]
pub struct Attachment {
    /// The output.
    pub view: OutputView,
    /// The input.
    pub keyboard: KeyQueue,
    /// Makes a full-screen program redraw, if it needs that.
    pub nudge: Option<RedrawTrigger>,
}
