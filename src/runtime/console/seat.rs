use super::keyboard::Keyboard;
use super::nudge::Nudge;
use super::view::View;

/// A client's connection to a service's terminal. Dropping it detaches.
#[derive(Debug)]
pub struct Seat {
    /// The output.
    pub view: View,
    /// The input.
    pub keyboard: Keyboard,
    /// Makes a full-screen program redraw, if it needs that.
    pub nudge: Option<Nudge>,
}
