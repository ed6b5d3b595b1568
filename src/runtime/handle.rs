//! How faces reach the supervisor.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::console::{Screen, Seat};
use super::feed::{Events, FeedTap};
use super::given::Given;
use super::log::Logs;
use super::usage::{Meter, Subject};
pub use crate::engine::Until;
use crate::engine::{Haste, Input, Ticket};
use crate::model::{Class, EnvView, Message, Name, PlanView, Run, Snapshot, Why};

/// How many of its last lines say why a service is as it is: what fits on a screen with the rest.
const TAIL: usize = 10;

/// What a face may ask of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Start these, with what they depend on.
    Start(Vec<Name>),
    /// Stop these.
    Stop(Vec<Name>),
    /// Stop these if they run, then start them.
    Restart(Vec<Name>),
    /// Restart these in another mode.
    Debug {
        /// Which.
        names: Vec<Name>,
        /// Into debug mode, and start what does not run; or back into run mode.
        on: bool,
    },
    /// Nothing: say when it is so of these, or of all that are asked for.
    Wait {
        /// Which; all when empty.
        names: Vec<Name>,
        /// What is waited for.
        until: Until,
    },
    /// Stop everything and end.
    Down,
}

impl Request {
    pub(super) fn into_input(self, ticket: Ticket) -> Input {
        match self {
            Request::Start(names) => Input::Start(ticket, names),
            Request::Stop(names) => Input::Stop(ticket, names),
            Request::Restart(names) => Input::Restart(ticket, names),
            Request::Debug { names, on: true } => Input::Debug(ticket, names),
            Request::Debug { names, on: false } => Input::Undebug(ticket, names),
            Request::Wait { names, until } => Input::Wait(ticket, names, until),
            Request::Down => Input::Shutdown {
                ticket: Some(ticket),
                why: "`devstack down`".to_owned(),
                code: 0,
                haste: Haste::Polite,
            },
        }
    }
}

/// What came of a request, given when it took effect: a sentence, or why not.
pub type Answer = Result<String, Message>;

/// How a face reaches the supervisor of its own process. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    asks: mpsc::UnboundedSender<Ask>,
    logs: Logs,
    meter: Arc<Mutex<Meter>>,
    feed: FeedTap,
}

/// What arrives at the supervisor.
pub(crate) enum Ask {
    /// Do this; the answer comes when it took effect.
    Do(Request, oneshot::Sender<Answer>),
    /// Somebody who asked has gone without an answer.
    Gone,
    /// Show what is now. Snapshots are made when somebody looks: a start of a hundred services
    /// has hundreds of states that nobody sees.
    Look(oneshot::Sender<Arc<Snapshot>>),
    /// The same, and whose usage can be measured.
    LookClosely(oneshot::Sender<(Arc<Snapshot>, Vec<Subject>)>),
    /// Say why this service is as it is; `None`: there is no such service.
    Why(Name, oneshot::Sender<Option<Why>>),
    /// Say what the files would change now.
    Plan(oneshot::Sender<Result<PlanView, Message>>),
    /// Give a place at the terminal of a service, for this screen.
    Attach(Name, Screen, oneshot::Sender<Result<Attached, Message>>),
    /// Say what the environment of this service is composed of; `None`: there is no such service.
    Given(Name, oneshot::Sender<Option<Given>>),
}

/// Somebody is attached to a service.
#[derive(Debug)]
pub struct Attached {
    /// Where.
    pub seat: Seat,
    /// The run that is to be seen; `None`: the service does not run.
    pub run: Option<Run>,
    /// Why the service is in its phase.
    pub cause: String,
}

impl Handle {
    pub(crate) fn new(asks: mpsc::UnboundedSender<Ask>, logs: Logs, feed: FeedTap) -> Handle {
        Handle { asks, logs, meter: Arc::default(), feed }
    }

    /// Asks and waits until the answer is true. Dropped before, it is forgotten who asked; what was asked is done all
    /// the same.
    pub async fn ask(&self, request: Request) -> Answer {
        // Goes after the receiver of the answer, so that the supervisor sees that this is closed.
        let mut asker = Asker { asks: &self.asks, answered: false };
        let answer = self.ask_alone(request).await;
        asker.answered = true;
        answer
    }

    /// Sends this with where the answer goes, and waits for that.
    async fn answered<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Message> {
        let (tell, told) = oneshot::channel();
        self.asks.send(ask(tell)).map_err(|_| gone())?;
        told.await.map_err(|_| gone())
    }

    async fn ask_alone(&self, request: Request) -> Answer {
        self.answered(|tell| Ask::Do(request, tell)).await?
    }

    /// What is now, at one instant after everything that was answered before this call.
    ///
    /// # Errors
    /// The stack has ended.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>, Message> {
        self.answered(Ask::Look).await
    }

    /// The same with what each service uses. That costs as much as looking at its processes, once for all who ask at
    /// about the same time.
    ///
    /// # Errors
    /// The stack has ended.
    pub async fn snapshot_with_usage(&self) -> Result<Snapshot, Message> {
        let (snapshot, subjects) = self.answered(Ask::LookClosely).await?;
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

    /// What applying the configuration files as they are now would change.
    ///
    /// # Errors
    /// The stack has ended, the files have mistakes, or they ask for what a running stack cannot become.
    pub async fn plan(&self) -> Result<PlanView, Message> {
        self.answered(Ask::Plan).await?
    }

    /// What happens, after a snapshot of what is.
    pub fn events(&self) -> Events {
        Events::new(self.clone(), self.feed.clone())
    }

    /// A place at the terminal of a service, for somebody who has this screen.
    ///
    /// # Errors
    /// The stack has ended, or the service has no terminal.
    pub async fn attach(&self, service: Name, screen: Screen) -> Result<Attached, Message> {
        self.answered(|tell| Ask::Attach(service, screen, tell)).await?
    }

    /// The environment of a service: that of its live run, or what its next one gets.
    ///
    /// # Errors
    /// The stack has ended, or the service has left it.
    pub async fn environment(&self, service: Name) -> Result<EnvView, Message> {
        let left = left(&service);
        let given = self.answered(|tell| Ask::Given(service, tell)).await?.ok_or(left)?;
        tokio::task::spawn_blocking(move || given.view()).await.map_err(|_| gone())
    }

    /// Why a service is as it is, and what comes next.
    ///
    /// # Errors
    /// The stack has ended, or the service has left it.
    pub async fn why(&self, service: Name) -> Result<Why, Message> {
        let why = self.answered(|tell| Ask::Why(service.clone(), tell)).await?;
        let why = why.ok_or_else(|| left(&service))?;
        Ok(Why { log: self.logs.tail(&service, TAIL), ..why })
    }

    /// What the services printed.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }
}

/// Nobody answers any more.
fn gone() -> Message {
    Message::new(Class::NotRunning, "the stack has ended")
}

fn left(service: &Name) -> Message {
    Message::new(Class::Usage, format!("{service} has just left the stack"))
}

/// Tells the supervisor when whoever asked goes before the answer.
struct Asker<'a> {
    asks: &'a mpsc::UnboundedSender<Ask>,
    answered: bool,
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // The stack may have ended.
            let _ = self.asks.send(Ask::Gone);
        }
    }
}
