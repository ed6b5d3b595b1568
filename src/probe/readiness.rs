use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use super::http::HttpRequest;
use super::probe_attempt::ProbeAttempt;
use super::probe_backoff::{FIRST, FIRST_EXEC, ProbeBackoff};
use super::probe_report::ProbeReporter;
use super::{ProbeContext, ProbeFinding, ProbeReport, exec, tcp};
use crate::model::{
    self, DisplayDuration, LaunchConfig, ListenAddress, Message, MessageClass, ReadyConfig, RunId,
};
use crate::ports::PortHolder;

/// How long a service may listen on wrong ports only before that is reported: some start with a
/// debugger or metrics port.
const WRONG_PORT_DELAY: Duration = Duration::from_secs(2);

/// How long after the start of a run something may forward to a container that is not found yet.
const FORWARDER_GRACE: Duration = Duration::from_secs(3);

/// The running probes of a run. Dropping it aborts them and kills their commands.
pub struct ProbeHandle(pub(super) AbortHandle);

impl Drop for ProbeHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the probes of a run, which go on until each has succeeded. Must be called right after the
/// spawn, within a tokio runtime: delays count from here.
///
/// `matches` has one receiver for each log and notify probe, in order, which resolves when a line
/// matched or the service reported ready. The caller enforces the readiness timeout.
pub fn start_readiness(
    run: RunId,
    ready: &ReadyConfig,
    launch: &LaunchConfig,
    sight: ProbeContext,
    matches: Vec<oneshot::Receiver<String>>,
    reports: mpsc::UnboundedSender<ProbeReport>,
) -> ProbeHandle {
    let (tell, reported) = mpsc::unbounded_channel();
    let (sight, launch) = (Arc::new(sight), Arc::new(launch.clone()));
    let mut tasks = JoinSet::new();
    let mut matches = matches.into_iter();
    let begin = Instant::now();
    let unseen = ready.probes.iter().filter(|probe| looks_from_outside(probe)).count();
    let unseen = Arc::new(watch::Sender::new(unseen));
    for (index, probe) in ready.probes.iter().enumerate() {
        let single = ProbeTask {
            index,
            probe: probe.clone(),
            interval: ready.interval,
            begin,
            launch: launch.clone(),
            sight: sight.clone(),
            unseen: unseen.clone(),
            tell: tell.clone(),
        };
        let matched = match probe {
            model::Probe::Log { .. } | model::Probe::Notify => matches.next(),
            model::Probe::Tcp { .. }
            | model::Probe::Http { .. }
            | model::Probe::Exec { .. }
            | model::Probe::Delay { .. }
            | model::Probe::Healthcheck { .. } => None,
        };
        tasks.spawn(single.run(matched));
    }
    let watch = ReadinessTracker {
        reporter: ProbeReporter { run, reports },
        last_failure: None,
        status: BTreeSet::new(),
        sight,
        seen: BTreeSet::new(),
    };
    let count = ready.probes.len();
    // The probe tasks end with this one, which owns them.
    let task = tokio::spawn(async move {
        watch.run(count, reported).await;
        drop(tasks);
    });
    ProbeHandle(task.abort_handle())
}

/// An update from the task of one probe.
enum ProbeUpdate {
    Held(String),
    Failed(String),
    Once(ProbeFinding),
}

struct ProbeTask {
    index: usize,
    probe: model::Probe,
    interval: Duration,
    begin: Instant,
    launch: Arc<LaunchConfig>,
    sight: Arc<ProbeContext>,
    /// How many probes that look from outside have not succeeded yet.
    unseen: Arc<watch::Sender<usize>>,
    tell: mpsc::UnboundedSender<(usize, ProbeUpdate)>,
}

/// Whether a probe needs no process. All others of a container cost much of its engine.
fn looks_from_outside(probe: &model::Probe) -> bool {
    matches!(probe, model::Probe::Tcp { .. } | model::Probe::Http { .. })
}

impl ProbeTask {
    async fn run(self, matched: Option<oneshot::Receiver<String>>) {
        match &self.probe {
            model::Probe::Log { pattern } => self.wait_for_line(pattern, matched).await,
            model::Probe::Notify => self.wait_for_notice(matched).await,
            model::Probe::Delay { delay } => {
                let shown = DisplayDuration(*delay);
                self.say(ProbeUpdate::Failed(format!("has not been running for {shown} yet")));
                sleep_until(self.begin + *delay).await;
                self.say(ProbeUpdate::Held(format!("has been running for {shown}")));
            }
            model::Probe::Tcp { .. } | model::Probe::Http { .. } => self.repeat(FIRST).await,
            model::Probe::Exec { .. } | model::Probe::Healthcheck { .. } => {
                self.repeat(FIRST_EXEC).await;
            }
        }
    }

    async fn wait_for_line(&self, pattern: &str, matched: Option<oneshot::Receiver<String>>) {
        self.say(ProbeUpdate::Failed(format!("no log line matches /{pattern}/ yet")));
        let ended = match matched {
            Some(matched) => matched.await.is_err(),
            None => true,
        };
        self.say(if ended {
            ProbeUpdate::Failed(format!("the output ended without a line matching /{pattern}/"))
        } else {
            ProbeUpdate::Held(format!("a log line matched /{pattern}/"))
        });
    }

    async fn wait_for_notice(&self, noticed: Option<oneshot::Receiver<String>>) {
        self.say(ProbeUpdate::Failed("has not sent READY=1 yet".to_owned()));
        match noticed {
            Some(noticed) => match noticed.await {
                Ok(status) => self.say(ProbeUpdate::Held(status)),
                Err(_) => self.say(ProbeUpdate::Failed("can no longer send READY=1".to_owned())),
            },
            None => self.say(ProbeUpdate::Failed("no socket for READY=1".to_owned())),
        }
    }

    async fn repeat(&self, first: Duration) {
        if self.sight.is_forwarded() {
            self.say(ProbeUpdate::Failed("its container does not run yet".to_owned()));
            self.sight.started().await;
            if !looks_from_outside(&self.probe) {
                // Fails only without a sender, and this task has one.
                let _ = self.unseen.subscribe().wait_for(|unseen| *unseen == 0).await;
            }
        }
        for pause in ProbeBackoff::new(first, self.interval) {
            let slow = |what| self.say(ProbeUpdate::Failed(what));
            let Some(attempt) = attempt(&self.probe, &self.launch, &self.sight, &slow).await else {
                return;
            };
            match attempt {
                ProbeAttempt::Held(what) => return self.held(what),
                ProbeAttempt::HeldAt(what, listening) => {
                    self.say(ProbeUpdate::Once(ProbeFinding::ListeningOn(listening)));
                    return self.held(what);
                }
                ProbeAttempt::Failed(why) => self.say(ProbeUpdate::Failed(why)),
                ProbeAttempt::NotListening(port) => self.port_unused(port),
                // The next attempt sees it.
                ProbeAttempt::Foreign(port, holder) if self.sight.adopts(port, &holder).await => {}
                // A container is found a little later than what forwards to it.
                ProbeAttempt::Foreign(port, holder)
                    if holder.may_act_for_service() && self.begin.elapsed() < FORWARDER_GRACE =>
                {
                    self.say(ProbeUpdate::Failed(format!("{holder} has port {port}")));
                }
                ProbeAttempt::Foreign(port, holder) => self.port_foreign(port, holder),
                ProbeAttempt::Limited(error) => {
                    let text = format!("cannot run a readiness probe: {error}");
                    let message = Message::new(MessageClass::Limit, text)
                        .help("raise the open file limit: `ulimit -n 10240`");
                    self.say(ProbeUpdate::Once(ProbeFinding::Note(message)));
                }
            }
            sleep(pause).await;
        }
    }

    fn held(&self, what: String) {
        if looks_from_outside(&self.probe) {
            self.unseen.send_modify(|unseen| *unseen -= 1);
        }
        self.say(ProbeUpdate::Held(what));
    }

    fn port_unused(&self, port: u16) {
        self.say(ProbeUpdate::Failed(format!("nothing is listening on port {port} yet")));
        if let Some(hint) = self.sight.hint(port) {
            self.say(ProbeUpdate::Failed(hint.text.clone()));
            return self.say(ProbeUpdate::Once(ProbeFinding::Note(hint)));
        }
        if self.begin.elapsed() >= WRONG_PORT_DELAY
            && let Some(actual) = self.sight.unexpected_addresses()
        {
            self.say(ProbeUpdate::Once(ProbeFinding::WrongPort { given: port, actual }));
        }
    }

    fn port_foreign(&self, port: u16, holder: Box<PortHolder>) {
        let text = format!("port {port} is in use by {holder}, not by this service");
        self.say(ProbeUpdate::Failed(text.clone()));
        let help = match holder.may_act_for_service() {
            true => "if it forwards to a container that this command starts, write `image = …` \
                     instead of `command`: then devstack knows"
                .to_owned(),
            false => {
                format!("stop it (see `devstack ports {port}`), or give the service another port")
            }
        };
        self.say(ProbeUpdate::Once(ProbeFinding::ForeignListener(
            port,
            holder,
            Message::new(MessageClass::Port, text).help(help),
        )));
    }

    fn say(&self, reported: ProbeUpdate) {
        // Fails only when the handle was dropped.
        let _ = self.tell.send((self.index, reported));
    }
}

/// Tries a probe once; `None` for probes that only wait. `slow` gets what is known so far when the
/// attempt takes long.
pub(super) async fn attempt(
    probe: &model::Probe,
    launch: &LaunchConfig,
    sight: &ProbeContext,
    slow: &(dyn Fn(String) + Sync),
) -> Option<ProbeAttempt> {
    match probe {
        model::Probe::Tcp { port } => Some(tcp::attempt(*port, &launch.host, sight).await),
        model::Probe::Http { url, status, insecure, own_port } => {
            let request = HttpRequest { url, status, insecure: *insecure, own_port: *own_port };
            Some(request.attempt(sight, slow).await)
        }
        model::Probe::Exec { command } => Some(exec::attempt(command, launch, sight).await),
        model::Probe::Healthcheck { optional } => Some(match sight.container_health().await {
            Some(Ok(())) => {
                ProbeAttempt::Held("the health check of its image succeeded".to_owned())
            }
            Some(Err(why)) => ProbeAttempt::Failed(why),
            None if *optional => ProbeAttempt::Held(String::new()),
            None => ProbeAttempt::Failed("its image has no HEALTHCHECK".to_owned()),
        }),
        model::Probe::Log { .. } | model::Probe::Delay { .. } | model::Probe::Notify => None,
    }
}

/// Combines the updates of a run's probes.
struct ReadinessTracker {
    reporter: ProbeReporter,
    /// Why the latest attempts failed, if they did.
    last_failure: Option<String>,
    /// Findings that are reported only once, by kind and port.
    status: BTreeSet<(&'static str, u16)>,
    sight: Arc<ProbeContext>,
    /// Where the run listened when probes succeeded.
    seen: BTreeSet<ListenAddress>,
}

impl ReadinessTracker {
    async fn run(
        mut self,
        count: usize,
        mut reported: mpsc::UnboundedReceiver<(usize, ProbeUpdate)>,
    ) {
        let mut held: Vec<Option<String>> = vec![None; count];
        let mut failed: Vec<Option<String>> = vec![None; count];
        while held.iter().any(Option::is_none) {
            let Some((index, what)) = reported.recv().await else { return };
            match what {
                ProbeUpdate::Held(what) => {
                    held[index] = Some(what);
                    failed[index] = None;
                }
                ProbeUpdate::Failed(why) => failed[index] = Some(why),
                ProbeUpdate::Once(finding) => self.once(finding),
            }
            self.fail(failed.iter().flatten().cloned().collect::<Vec<_>>().join("; "));
        }
        self.report_addresses();
        // There is nothing to say of a probe that was not needed.
        let held: Vec<String> = held.into_iter().flatten().filter(|it| !it.is_empty()).collect();
        let what = if held.is_empty() { "started".into() } else { held.join(", ") };
        self.reporter.send(ProbeFinding::Ready(what));
    }

    /// Reports where the run listens. Always checks the main port, even if no probe did, so that
    /// users are not sent to a port where nothing is listening.
    fn report_addresses(&mut self) {
        let known = self.sight.main_among(&self.seen);
        let main = if known { None } else { self.sight.main_port() };
        if main.is_some() || !self.seen.is_empty() {
            self.seen.extend(main.into_iter().flatten());
            self.reporter.send(ProbeFinding::ListeningOn(self.seen.iter().cloned().collect()));
        }
    }

    fn fail(&mut self, why: String) {
        let why = Some(why).filter(|why| !why.is_empty());
        if self.last_failure != why {
            self.last_failure.clone_from(&why);
            if let Some(why) = why {
                self.reporter.send(ProbeFinding::Failed(why));
            }
        }
    }

    fn once(&mut self, finding: ProbeFinding) {
        let key = match &finding {
            ProbeFinding::ListeningOn(listening) => {
                return self.seen.extend(listening.iter().cloned());
            }
            ProbeFinding::ForeignListener(port, ..) => ("foreign", *port),
            ProbeFinding::WrongPort { given, .. } => ("elsewhere", *given),
            ProbeFinding::Note(_) => ("note", 0),
            ProbeFinding::Ready(_)
            | ProbeFinding::Failed(_)
            | ProbeFinding::Unhealthy(_)
            | ProbeFinding::Healthy
            | ProbeFinding::DebuggerListening
            | ProbeFinding::ReloadsItself(_)
            | ProbeFinding::Scanned { .. } => {
                return self.reporter.send(finding);
            }
        };
        if self.status.insert(key) {
            self.reporter.send(finding);
        }
    }
}
