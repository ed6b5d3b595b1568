use std::sync::Arc;
use std::time::Duration;

use super::service_terminal::ServiceTerminal;

/// Long enough for a program to read the smaller size and redraw, and hardly visible. If both
/// changes came at once, it would see none.
const MOMENT: Duration = Duration::from_millis(100);

/// Makes a full-screen program redraw for a new client: the terminal has one row less while this
/// lives.
#[derive(Debug)]
pub struct RedrawTrigger(Arc<ServiceTerminal>);

impl RedrawTrigger {
    pub(super) fn new(console: Arc<ServiceTerminal>) -> RedrawTrigger {
        RedrawTrigger(console)
    }

    /// Keeps it alive for a moment.
    pub async fn hold(self) {
        tokio::time::sleep(MOMENT).await;
    }
}

impl Drop for RedrawTrigger {
    fn drop(&mut self) {
        self.0.end_redraw();
    }
}
