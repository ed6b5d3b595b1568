use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use crate::control::ControlClient;
use crate::model::{Phase, Snapshot};
use crate::proxy::Sleep;

/// Delay before a stack that could not be asked is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// Has a service woken up by its stack. `socket_of` returns the control socket of that stack as long
/// as the service is asleep as far as is known.
pub(super) async fn wake(asleep: &Sleep, socket_of: impl Fn(&Sleep) -> Option<PathBuf>) {
    while let Some(socket) = socket_of(asleep) {
        match ControlClient::at(&socket).wake(&asleep.service).await {
            Ok(_) => return,
            Err(error) => tracing::debug!(?error, service = %asleep.service, "cannot wake"),
        }
        sleep(PAUSE).await;
    }
}

pub(super) fn shows(snapshot: &Snapshot, asleep: &Sleep) -> bool {
    let is_it = |view: &crate::model::ServiceView| {
        view.name == asleep.service && view.phase == Phase::Asleep && view.since == asleep.since
    };
    snapshot.supervisor_pid == asleep.supervisor && snapshot.services.iter().any(is_it)
}
