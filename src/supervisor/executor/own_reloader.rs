//! Recognizes programs that reload themselves by what they print, such as Flask with
//! `app.run(debug=True)`.

use std::sync::OnceLock;
use std::time::Duration;

use regex::bytes::{Regex, RegexSet};
use tokio::sync::{mpsc, oneshot};

use crate::model::{RunId, RunMode, Service, WatchConfig};
use crate::presets::{FrameworkReloader, OwnReloaderOutput, printed_reloaders};
use crate::probe::{ProbeFinding, ProbeReport};

/// How long after its start a program prints that it reloads itself. Later lines are not searched.
const PRINTED_WITHIN: Duration = Duration::from_secs(60);

type PrintedReloader = (&'static FrameworkReloader, &'static OwnReloaderOutput);

/// Returns what to look for in the output of a service that restarts when files change.
pub(super) fn pattern(service: &Service) -> Option<Regex> {
    static ANY: OnceLock<Option<Regex>> = OnceLock::new();
    let restarts = service.watch.iter().any(|watch| watch.action.restarts());
    if !restarts || matches!(service.mode, RunMode::Debug(_)) {
        return None;
    }
    let any = || {
        let lines: Vec<String> =
            printed_reloaders().map(|(_, output)| format!("(?:{})", output.line)).collect();
        Regex::new(&lines.join("|")).ok()
    };
    ANY.get_or_init(any).clone()
}

/// Reports the line that [`pattern`] matches, if it comes.
pub(super) fn report_line(
    run: RunId,
    line: oneshot::Receiver<String>,
    reports: mpsc::UnboundedSender<ProbeReport>,
) {
    tokio::spawn(async move {
        if let Ok(Ok(line)) = tokio::time::timeout(PRINTED_WITHIN, line).await {
            // Without a receiver the stack is shutting down.
            let _ = reports.send(ProbeReport { run, what: ProbeFinding::ReloadsItself(line) });
        }
    });
}

pub(super) fn printed(line: &str) -> Option<PrintedReloader> {
    let set = RegexSet::new(printed_reloaders().map(|(_, output)| &output.line)).ok()?;
    let first = set.matches(line.as_bytes()).iter().next()?;
    printed_reloaders().nth(first)
}

/// Whether this reloader handles files that restart the service. The configuration leaves them to it
/// already if it turns the reloader on.
pub(super) fn takes_more(reloader: &FrameworkReloader, watch: &WatchConfig) -> bool {
    let is_left = |glob| watch.exclude.contains(glob) || watch.reloaded.contains(glob);
    watch.action.restarts() && !reloader.files.iter().all(is_left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_reloaders_are_recognized() {
        for (line, off) in [
            (" * Restarting with stat", "use_reloader=False"),
            (" * Restarting with watchdog (inotify)", "use_reloader=False"),
            ("Watching for file changes with StatReloader", "--noreload"),
            ("INFO:     Started reloader process [1] using WatchFiles", "--reload"),
            ("[nodemon] watching path(s): *.*", "with node"),
        ] {
            let found = printed(line).and_then(|(_, output)| output.turn_off.as_deref());
            assert!(found.is_some_and(|found| found.contains(off)), "{line}");
        }
        for line in ["  VITE v7.1.2  ready in 312 ms", "   ▲ Next.js 15.3.1 (Turbopack)"] {
            assert!(printed(line).is_some_and(|(_, output)| output.turn_off.is_none()), "{line}");
        }
        assert!(printed("Restarting the server").is_none());
    }
}
