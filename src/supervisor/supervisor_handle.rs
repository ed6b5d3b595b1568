//! How clients reach the supervisor.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::actions::{ActionOrder, ActionOutput};
use super::env_inputs::EnvInputs;
use super::executor::{MeteredRun, UsageMeter};
use super::feed::{FeedReader, FeedSubscriber};
use crate::engine::{Input, ShutdownMode, Ticket};
use crate::log::StackLog;
use crate::model::{
    EnvView, EventView, Message, MessageClass, Name, PlanView, RunId, Snapshot, WaitCondition,
    WhyView,
};
use crate::terminal::{Attachment, ClientScreen};
use crate::watch::OutputFiles;

/// Number of log lines in `why`: they fit on a screen with the rest.
const WHY_LINES: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlRequest {
    /// Start these services and their dependencies.
    Start(Vec<Name>),
    /// Stop these services.
    Stop(Vec<Name>),
    /// Stop these services if they run, then start them.
    Restart(Vec<Name>),
    /// Restart these services in another mode.
    Debug {
        /// The services.
        names: Vec<Name>,
        /// Enter debug mode, and start what does not run; or leave it.
        on: bool,
    },
    /// Wait until a condition holds for these services, or for all requested ones.
    Wait {
        /// The services; all when empty.
        names: Vec<Name>,
        until: WaitCondition,
    },
    /// Shut down.
    Down,
}

impl ControlRequest {
    pub(super) fn into_input(self, ticket: Ticket) -> Input {
        match self {
            ControlRequest::Start(names) => Input::Start(ticket, names),
            ControlRequest::Stop(names) => Input::Stop(ticket, names),
            ControlRequest::Restart(names) => Input::Restart(ticket, names),
            ControlRequest::Debug { names, on: true } => Input::Debug(ticket, names),
            ControlRequest::Debug { names, on: false } => Input::LeaveDebug(ticket, names),
            ControlRequest::Wait { names, until } => Input::Wait(ticket, names, until),
            ControlRequest::Down => Input::Shutdown {
                ticket: Some(ticket),
                why: "`devstack down`".to_owned(),
                code: 0,
                haste: ShutdownMode::Polite,
            },
        }
    }
}

/// The result of a request: a sentence once it took effect, or why it did not.
pub type RequestResult = Result<String, Message>;

/// Reaches the supervisor of this process. Cheap to clone.
#[derive(Clone)]
pub struct SupervisorHandle {
    requests: mpsc::UnboundedSender<SupervisorRequest>,
    logs: StackLog,
    meter: Arc<Mutex<UsageMeter>>,
    /// Locked while a plan is made: each reads the configuration once more, and holds all of it.
    planning: Arc<Mutex<()>>,
    /// Locked while an environment is composed.
    composing: Arc<Mutex<()>>,
    feed: FeedSubscriber,
    output: OutputFiles,
}

/// A message to the supervisor.
pub(crate) enum SupervisorRequest {
    /// A request; the reply is sent when it took effect.
    Control(ControlRequest, oneshot::Sender<RequestResult>),
    /// Let these services start if they are asleep.
    Wake(Vec<Name>),
    /// A client has left before its reply.
    ClientLeft,
    /// Send a snapshot. Snapshots are made on demand: a start of a hundred services has hundreds of
    /// states that no client sees.
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    /// The same, with the runs that can be measured.
    SnapshotWithUsage(oneshot::Sender<(Arc<Snapshot>, Vec<MeteredRun>)>),
    /// Explain the state of this service; `None`: no such service.
    Why(Name, oneshot::Sender<Option<WhyView>>),
    /// Send what the files would change now.
    Plan(oneshot::Sender<Result<PlanView, Message>>),
    /// Attach this screen to the terminal of a service.
    Attach(Name, ClientScreen, oneshot::Sender<Result<AttachReply, Message>>),
    /// Run an action of a service.
    RunAction(ActionOrder, oneshot::Sender<Result<ActionOutput, Message>>),
    /// End an action of a service where it runs, or the one with this number.
    StopAction(Name, String, Option<u64>, oneshot::Sender<RequestResult>),
    /// Services are served under their names, perhaps with a note, or not: why.
    Names(Result<Option<Message>, Message>),
    /// Send the inputs of this service's environment; `None`: no such service.
    EnvInputs(Name, oneshot::Sender<Option<EnvInputs>>),
}

#[derive(Debug)]
pub struct AttachReply {
    pub seat: Attachment,
    /// The run to show; `None`: the service does not run.
    pub run: Option<RunId>,
    /// The cause of the service's phase.
    pub cause: String,
}

impl SupervisorHandle {
    pub(crate) fn new(
        requests: mpsc::UnboundedSender<SupervisorRequest>,
        logs: StackLog,
        feed: FeedSubscriber,
    ) -> SupervisorHandle {
        let (meter, planning, composing) = Default::default();
        let output = OutputFiles::default();
        SupervisorHandle { requests, logs, meter, planning, composing, feed, output }
    }

    /// Sets the files that devstack itself writes.
    pub(crate) fn printing_into(self, output: OutputFiles) -> SupervisorHandle {
        SupervisorHandle { output, ..self }
    }

    /// Sends a request and waits until it took effect. Dropping the future only cancels the wait;
    /// the request itself is still carried out.
    pub async fn ask(&self, request: ControlRequest) -> RequestResult {
        // Dropped after the receiver of the reply, so that the supervisor finds its sender closed.
        let mut asker = CancelOnDrop { requests: &self.requests, answered: false };
        let answer = self.ask_alone(request).await;
        asker.answered = true;
        answer
    }

    /// Sends a request with a reply channel and waits for the reply.
    async fn send_and_wait<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<T>) -> SupervisorRequest,
    ) -> Result<T, Message> {
        let (tell, reported) = oneshot::channel();
        self.requests.send(ask(tell)).map_err(|_| gone())?;
        reported.await.map_err(|_| gone())
    }

    async fn ask_alone(&self, request: ControlRequest) -> RequestResult {
        self.send_and_wait(|tell| SupervisorRequest::Control(request, tell)).await?
    }

    /// Returns the state at one instant after everything that was answered before this call.
    ///
    /// # Errors
    /// When the stack has stopped.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>, Message> {
        self.send_and_wait(SupervisorRequest::Snapshot).await
    }

    /// Returns a snapshot with the resource usage of each service. Measuring walks the process
    /// trees; clients asking at about the same time share one measurement.
    ///
    /// # Errors
    /// When the stack has stopped.
    pub async fn snapshot_with_usage(&self) -> Result<Snapshot, Message> {
        let (snapshot, subjects) = self.send_and_wait(SupervisorRequest::SnapshotWithUsage).await?;
        let mut meter = self.meter.clone().lock_owned().await;
        let measured = tokio::task::spawn_blocking(move || meter.measure(&subjects));
        let usage = measured.await.map_err(|_| gone())?;
        let mut snapshot = Arc::unwrap_or_clone(snapshot);
        for view in &mut snapshot.services {
            if let Some(usage) = view.run.and_then(|run| usage.get(&run)) {
                usage.fill(view);
            }
        }
        Ok(snapshot)
    }

    /// Lets services start that are asleep, as a connection does.
    pub fn wake(&self, names: Vec<Name>) {
        // A stack that has stopped has nothing to wake.
        let _ = self.requests.send(SupervisorRequest::Wake(names));
    }

    /// Tells the stack that its services are served under their names, and what the user should
    /// know, or why they are not.
    pub fn names_are(&self, served: Result<Option<Message>, Message>) {
        // A stack that has stopped has no use for it.
        let _ = self.requests.send(SupervisorRequest::Names(served));
    }

    /// Returns what applying the current configuration files would change.
    ///
    /// # Errors
    /// When the stack has stopped, the files are invalid, or a running stack cannot change that
    /// way.
    pub async fn plan(&self) -> Result<PlanView, Message> {
        let _one_at_a_time = self.planning.lock().await;
        self.send_and_wait(SupervisorRequest::Plan).await?
    }

    /// Returns a reader for a snapshot and the events after it.
    pub fn events(&self) -> FeedReader {
        FeedReader::new(self.clone(), self.feed.clone())
    }

    /// Returns the events that are kept after the number that `after` chooses, given those of the
    /// oldest and newest one; and that of the newest.
    pub fn past_events(&self, after: impl FnOnce(u64, u64) -> u64) -> (Vec<EventView>, u64) {
        let (lines, newest) = self.feed.kept(after);
        (lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect(), newest)
    }

    /// Attaches a client with this screen to the terminal of a service.
    ///
    /// # Errors
    /// When the stack has stopped, or the service has no terminal.
    pub async fn attach(
        &self,
        service: Name,
        screen: ClientScreen,
    ) -> Result<AttachReply, Message> {
        self.send_and_wait(|tell| SupervisorRequest::Attach(service, screen, tell)).await?
    }

    /// Runs an action of a service. Dropping its output ends it, unless it is detached.
    ///
    /// # Errors
    /// When the stack has stopped, the action is unknown or takes other arguments, or it cannot run
    /// now.
    pub async fn run_action(&self, order: ActionOrder) -> Result<ActionOutput, Message> {
        self.send_and_wait(|tell| SupervisorRequest::RunAction(order, tell)).await?
    }

    /// Asks an action to end where it runs, or the one with this number. Returns at once.
    pub async fn stop_action(
        &self,
        service: Name,
        action: String,
        number: Option<u64>,
    ) -> RequestResult {
        self.send_and_wait(|tell| SupervisorRequest::StopAction(service, action, number, tell))
            .await?
    }

    /// Returns the environment of a service: that of its live run, or of its next one.
    ///
    /// # Errors
    /// When the stack has stopped, or the service has been removed.
    pub async fn environment(&self, service: Name) -> Result<EnvView, Message> {
        let left = left(&service);
        let _one_at_a_time = self.composing.lock().await;
        let given = self
            .send_and_wait(|tell| SupervisorRequest::EnvInputs(service, tell))
            .await?
            .ok_or(left)?;
        tokio::task::spawn_blocking(move || given.explain()).await.map_err(|_| gone())
    }

    /// Explains the state of a service and what happens next.
    ///
    /// # Errors
    /// When the stack has stopped, or the service has been removed.
    pub async fn why(&self, service: Name) -> Result<WhyView, Message> {
        let why = self.send_and_wait(|tell| SupervisorRequest::Why(service.clone(), tell)).await?;
        let why = why.ok_or_else(|| left(&service))?;
        Ok(WhyView { log: self.logs.tail(&service, WHY_LINES), ..why })
    }

    /// The files that devstack itself writes.
    pub fn output_files(&self) -> &OutputFiles {
        &self.output
    }

    pub fn logs(&self) -> &StackLog {
        &self.logs
    }
}

/// The supervisor no longer replies.
fn gone() -> Message {
    Message::new(MessageClass::NotRunning, "the stack has stopped")
}

fn left(service: &Name) -> Message {
    Message::new(MessageClass::Usage, format!("{service} was just removed from the stack"))
}

/// Notifies the supervisor when a client leaves before its reply.
struct CancelOnDrop<'a> {
    requests: &'a mpsc::UnboundedSender<SupervisorRequest>,
    answered: bool,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // The supervisor may have finished.
            let _ = self.requests.send(SupervisorRequest::ClientLeft);
        }
    }
}
