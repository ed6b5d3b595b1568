use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::pauses::{FIRST, Pauses};
use super::{Finding, Owner, Probing, Report, Sight};
use crate::model::{Message, MessageClass, RunId};

/// Checks until a run listens on `port`, at once and then with pauses of at most `interval`. Never
/// connects: a debugger may accept one connection only, and take this for the user's.
pub fn listens(
    run: RunId,
    port: u16,
    interval: Duration,
    sight: Sight,
    report: mpsc::UnboundedSender<Report>,
) -> Probing {
    let task = tokio::spawn(async move {
        let mut told = false;
        for pause in Pauses::new(FIRST, interval) {
            match sight.owner(port) {
                // Where the system does not show the owner, at least something is listening.
                Owner::Ours(_) | Owner::Unknown => {
                    return send(&report, run, Finding::Attachable);
                }
                Owner::Foreign(who) | Owner::Shared(_, who)
                    if !std::mem::replace(&mut told, true) =>
                {
                    let text = format!("debug port {port} is in use by {who}, not by this service");
                    let help =
                        format!("stop it (see `devstack ports {port}`), or set `debug.port`");
                    let message = Message::new(MessageClass::Port, text).help(help);
                    send(&report, run, Finding::Foreign(port, message));
                }
                Owner::Foreign(_) | Owner::Shared(..) | Owner::Nobody => {}
            }
            sleep(pause).await;
        }
    });
    Probing::new(task.abort_handle(), Arc::new(Mutex::new(None)))
}

fn send(report: &mpsc::UnboundedSender<Report>, run: RunId, what: Finding) {
    // The receiver is dropped when the stack shuts down.
    let _ = report.send(Report { run, what });
}
