use std::sync::Arc;
use std::time::Duration;

use super::console::Console;

/// How long a terminal has a row less. A program that looks at its size meanwhile finds another one and draws again, and
/// would not if both changes came as one; people hardly see it.
const MOMENT: Duration = Duration::from_millis(100);

/// Lets a full-screen program draw again, for somebody who has seen nothing of it yet: while this lives, its terminal
/// has a row less.
#[derive(Debug)]
pub struct Nudge(Arc<Console>);

impl Nudge {
    pub(super) fn new(console: Arc<Console>) -> Nudge {
        Nudge(console)
    }

    /// Lets it live for a moment.
    pub async fn last(self) {
        tokio::time::sleep(MOMENT).await;
    }
}

impl Drop for Nudge {
    fn drop(&mut self) {
        self.0.nudged();
    }
}
