use std::sync::Arc;
use std::time::Duration;

use super::console::Console;

/// Long enough for a program to read the smaller size and redraw, and hardly visible. If both
/// changes came at once, it would see none.
const MOMENT: Duration = Duration::from_millis(100);

/// Makes a full-screen program redraw for a new client: the terminal has one row less while this
/// lives.
#[derive(Debug)]
pub struct Nudge(Arc<Console>);

impl Nudge {
    pub(super) fn new(console: Arc<Console>) -> Nudge {
        Nudge(console)
    }

    /// Keeps it alive for a moment.
    pub async fn last(self) {
        tokio::time::sleep(MOMENT).await;
    }
}

impl Drop for Nudge {
    fn drop(&mut self) {
        self.0.nudged();
    }
}
