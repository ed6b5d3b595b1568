use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::probe_attempt::ProbeAttempt;
use super::probe_report::ProbeReporter;
use super::readiness::{ProbeHandle, attempt};
use super::{ProbeContext, ProbeFinding, ProbeReport};
use crate::model::{HealthConfig, LaunchConfig, Message, MessageClass, RunId};

/// The shortest pause between rounds, in case none is configured.
const SHORTEST: Duration = Duration::from_millis(1);

/// Starts the health probes of a run, within a tokio runtime: one attempt of each probe per round,
/// the first after one interval, until the result is dropped. Reports `Unhealthy` after the
/// configured number of failed rounds in a row, `Healthy` on the first success and on the first
/// after that, and one note if a limit of devstack prevents probing.
pub fn start_health(
    run: RunId,
    health: &HealthConfig,
    launch: &LaunchConfig,
    sight: ProbeContext,
    reports: mpsc::UnboundedSender<ProbeReport>,
) -> ProbeHandle {
    let care = HealthTask {
        health: health.clone(),
        launch: launch.clone(),
        sight,
        reporter: ProbeReporter { run, reports },
    };
    let task = tokio::spawn(care.run());
    ProbeHandle(task.abort_handle())
}

struct HealthTask {
    health: HealthConfig,
    launch: LaunchConfig,
    sight: ProbeContext,
    reporter: ProbeReporter,
}

enum HealthRound {
    Good,
    Bad(String),
    /// devstack hit a limit of its own; the service may be fine.
    Untried(Message),
}

impl HealthTask {
    async fn run(self) {
        // Unknown at first: an earlier task may have reported on this run.
        let mut well = None;
        let (mut bad, mut limited) = (0, false);
        loop {
            sleep(self.health.interval.max(SHORTEST)).await;
            match self.round().await {
                HealthRound::Good => {
                    bad = 0;
                    if well.replace(true) != Some(true) {
                        self.reporter.send(ProbeFinding::Healthy);
                    }
                }
                HealthRound::Bad(why) => {
                    bad = self.health.failures.min(bad + 1);
                    if bad >= self.health.failures && well.replace(false) != Some(false) {
                        self.reporter.send(ProbeFinding::Unhealthy(why));
                    }
                }
                HealthRound::Untried(message) => {
                    if !std::mem::replace(&mut limited, true) {
                        self.reporter.send(ProbeFinding::Note(message));
                    }
                }
            }
        }
    }

    /// Tries each probe once, until one fails.
    async fn round(&self) -> HealthRound {
        for probe in &self.health.probes {
            match attempt(probe, &self.launch, &self.sight, &|_| {}).await {
                Some(ProbeAttempt::Held(_) | ProbeAttempt::HeldAt(..)) | None => {}
                Some(ProbeAttempt::Failed(why)) => return HealthRound::Bad(why),
                Some(ProbeAttempt::NotListening(port)) => {
                    return HealthRound::Bad(format!("nothing is listening on port {port}"));
                }
                Some(ProbeAttempt::Foreign(port, holder)) => {
                    return HealthRound::Bad(format!("port {port} is in use by {holder}"));
                }
                Some(ProbeAttempt::Limited(error)) => {
                    let text = format!("cannot run a health probe: {error}");
                    let help = "raise the open file limit: `ulimit -n 10240`";
                    return HealthRound::Untried(
                        Message::new(MessageClass::Limit, text).help(help),
                    );
                }
            }
        }
        HealthRound::Good
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::model::{CommandLine, HealthAction, LaunchEnv, Probe};
    use crate::ports::ListenerOwner;

    /// Long enough for any machine; a test that reaches it has failed.
    const DEADLINE: Duration = Duration::from_secs(30);

    struct HealthFixture {
        probing: Option<ProbeHandle>,
        reports: mpsc::UnboundedReceiver<ProbeReport>,
        dir: tempfile::TempDir,
    }

    impl HealthFixture {
        fn new(
            failures: u32,
            probes: impl FnOnce(&std::path::Path) -> Vec<Probe>,
        ) -> HealthFixture {
            let dir = tempfile::tempdir().unwrap();
            let (tell, reports) = mpsc::unbounded_channel();
            let launch = LaunchConfig {
                command: CommandLine::Shell("true".into()),
                container: None,
                dir: dir.path().to_owned(),
                env: LaunchEnv::default(),
                host: "127.0.0.1".into(),
                requires: None,
            };
            let interval = Duration::from_millis(2);
            let action = HealthAction::Report;
            let asked = HealthConfig { probes: probes(dir.path()), interval, failures, action };
            let sight = ProbeContext::new(
                || vec![1],
                |_, _| ListenerOwner::Ours(Vec::new()),
                |_| Vec::new(),
            );
            let sight = sight.trying(crate::probe::tests::in_shell);
            let probing = Some(start_health(RunId(7), &asked, &launch, sight, tell));
            HealthFixture { probing, reports, dir }
        }

        async fn next(&mut self) -> Option<ProbeFinding> {
            let report = tokio::time::timeout(DEADLINE, self.reports.recv()).await;
            report.expect("a report within the deadline").map(|report| report.what)
        }

        /// No report follows the end.
        async fn end(mut self) {
            self.probing = None;
            assert_eq!(self.next().await, None);
        }
    }

    #[tokio::test]
    async fn bad_rounds_in_a_row_count_and_one_good_one_is_enough() {
        // Each line of `tried` is a round; the service is unhealthy while `good` is missing.
        let probe = CommandLine::Shell("echo >> tried; test -e good".into());
        let mut scene = HealthFixture::new(3, |_| vec![Probe::Exec { command: probe }]);
        let good = scene.dir.path().join("good");
        for _ in 0..2 {
            let Some(ProbeFinding::Unhealthy(why)) = scene.next().await else {
                panic!("not unhealthy")
            };
            assert!(why.contains("failed (exit 1)"), "{why}");
            let tried = std::fs::read_to_string(scene.dir.path().join("tried")).unwrap();
            assert!(tried.lines().count() >= 3);
            std::fs::write(&good, "").unwrap();
            assert_eq!(scene.next().await, Some(ProbeFinding::Healthy));
            std::fs::remove_file(&good).unwrap();
        }
        assert!(matches!(scene.next().await, Some(ProbeFinding::Unhealthy(_))));
        scene.end().await;
    }

    #[tokio::test]
    async fn a_port_that_goes_silent_is_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut scene = HealthFixture::new(1, |_| vec![Probe::Tcp { port }]);
        listener.accept().await.unwrap();
        assert_eq!(scene.next().await, Some(ProbeFinding::Healthy));
        drop(listener);
        let Some(ProbeFinding::Unhealthy(why)) = scene.next().await else {
            panic!("not unhealthy")
        };
        assert!(why.contains(&format!("port {port}")), "{why}");
        let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert_eq!(scene.next().await, Some(ProbeFinding::Healthy));
        scene.end().await;
    }
}
