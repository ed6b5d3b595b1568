use super::key_queue::KeyQueue;
use super::output_view::OutputView;
use super::redraw_trigger::RedrawTrigger;

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
