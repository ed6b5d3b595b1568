use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::probe_backoff::{FIRST, ProbeBackoff};
use super::probe_report::ProbeReporter;
use super::{ProbeContext, ProbeFinding, ProbeHandle, ProbeReport};
use crate::model::{Message, MessageClass, RunId};
use crate::ports::ListenerOwner;

/// Checks until a run listens on `port`, at once and then with pauses of at most `interval`. Never
/// connects: a debugger may accept one connection only, and take this for the user's.
pub fn start_debugger_probe(
    run: RunId,
    port: u16,
    interval: Duration,
    sight: ProbeContext,
    reports: mpsc::UnboundedSender<ProbeReport>,
) -> ProbeHandle {
    let reporter = ProbeReporter { run, reports };
    let task = tokio::spawn(async move {
        let mut reported = false;
        for pause in ProbeBackoff::new(FIRST, interval) {
            match sight.owner(port) {
                // Where the system does not show the owner, at least something is listening.
                ListenerOwner::Ours(_) | ListenerOwner::Unknown => {
                    return reporter.send(ProbeFinding::DebuggerListening);
                }
                ListenerOwner::Foreign(holder) | ListenerOwner::Shared(_, holder)
                    if !std::mem::replace(&mut reported, true) =>
                {
                    let text =
                        format!("debug port {port} is in use by {holder}, not by this service");
                    let help =
                        format!("stop it (see `devstack ports {port}`), or set `debug.port`");
                    let message = Message::new(MessageClass::Port, text).help(help);
                    reporter.send(ProbeFinding::ForeignListener(port, Box::new(holder), message));
                }
                ListenerOwner::Foreign(_)
                | ListenerOwner::Shared(..)
                | ListenerOwner::NotListening => {}
            }
            sleep(pause).await;
        }
    });
    ProbeHandle(task.abort_handle())
}
