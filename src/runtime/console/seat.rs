use super::keyboard::Keyboard;
use super::nudge::Nudge;
use super::view::View;

/// A place at the terminal of a service. Whoever drops it has left.
#[derive(Debug)]
pub struct Seat {
    /// What is shown.
    pub view: View,
    /// What is typed.
    pub keyboard: Keyboard,
    /// What lets a full-screen program draw again, where that is needed.
    pub nudge: Option<Nudge>,
}
