use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::action_order::refusal;
use super::action_output::{ActionOutput, ActionPipe};
use super::action_sink::{ActionSink, LineLabel};
use super::inside_action::InsideAction;
use crate::container::{ACTION_MARK, action_mark, exec_command};
use crate::engine::{KILL_TIMEOUT, unstoppable};
use crate::log::StackLog;
use crate::model::{
    ActionUpdate, ContainerPlace, LaunchConfig, Message, Name, ProcessExit, RunId, RunningAction,
    ServiceView, Survivor,
};
use crate::process::{OneShotCommand, ProcessManager, RunHandle};
use crate::supervisor::off_loop::off_loop;

/// How long an action may take to exit once it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// How often a killed action is looked at of which nothing is found: its end is about to come.
const LOOKS: u32 = 3;

/// The actions that run. The guard keeps each, so that none of their processes outlives devstack.
pub(crate) struct ActionRunner {
    processes: Arc<ProcessManager>,
    logs: StackLog,
    live: BTreeMap<u64, LiveAction>,
    last: u64,
    reports: (mpsc::UnboundedSender<ActionReport>, mpsc::UnboundedReceiver<ActionReport>),
}

pub(crate) struct ActionStart {
    pub service: Name,
    pub action: Name,
    pub parallel: bool,
    /// What runs, with its values.
    pub launch: LaunchConfig,
    /// The container in which it runs, if any.
    pub place: Option<ContainerPlace>,
    /// The run of the service beside which its lines stand in the log.
    pub run: RunId,
    pub detach: bool,
    /// The date, for clients.
    pub at: String,
}

struct LiveAction {
    service: Name,
    action: Name,
    parallel: bool,
    since: String,
    began: Instant,
    handle: RunHandle,
    ending: watch::Sender<Ending>,
    /// Why it cannot be killed, once that is known. It is over for everybody but the kernel.
    stuck: Option<Message>,
}

/// Whether an action is asked to end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    No,
    /// With TERM, and later KILL; why, as a fragment.
    Terminate(String),
    Kill,
}

/// What becomes of an action.
struct ActionReport {
    number: u64,
    what: ActionChange,
}

enum ActionChange {
    /// It is over: nothing of it is left, or nothing that can be killed.
    Ended(ActionEnd),
    /// Nothing is left of one that could not be killed.
    Gone,
}

/// What is to be told of actions.
#[derive(Debug)]
pub(crate) enum ActionNews {
    Ended(ActionEnd),
    /// Nothing is left of one that could not be killed.
    Gone {
        service: Name,
        action: Name,
    },
    /// What is known.
    None,
}

/// The end of an action, as it is reported.
#[derive(Debug)]
pub(crate) struct ActionEnd {
    pub service: Name,
    pub action: Name,
    /// How it exited, or why it did not start or cannot be killed.
    pub exit: Result<ProcessExit, Message>,
    /// Why it was ended, as a fragment; `None`: it exited by itself.
    pub cause: Option<String>,
    pub took: Duration,
    /// Names of the processes that it left behind, which are dead now.
    pub left: Vec<String>,
    /// Whether something of it is left that cannot be killed, as `exit` says.
    pub stuck: bool,
    /// Whether something of it may be left in its container.
    pub unreached: bool,
}

impl ActionRunner {
    pub fn new(processes: Arc<ProcessManager>, logs: StackLog) -> ActionRunner {
        ActionRunner {
            processes,
            logs,
            live: BTreeMap::new(),
            last: 0,
            reports: mpsc::unbounded_channel(),
        }
    }

    /// Returns why an action that is to start must wait for one that runs.
    pub fn in_the_way(
        &self,
        service: &Name,
        action: &Name,
        may_run_beside: bool,
    ) -> Option<Message> {
        let found = self.live.values().find(|live| {
            let stuck = live.stuck.is_some() && live.action == *action;
            live.service == *service && (stuck || !(live.parallel || may_run_beside))
        })?;
        let age = found.began.elapsed();
        let refused = || refusal(service, &found.action, found.handle.main(), age);
        Some(found.stuck.clone().unwrap_or_else(refused))
    }

    pub fn start(&mut self, start: ActionStart) -> ActionOutput {
        let ActionStart { service, action, parallel, mut launch, place, run, detach, at } = start;
        self.last += 1;
        let number = self.last;
        let (capture, _) = self.logs.capture(&service, run, Vec::new());
        let pipe = ActionPipe::new(detach);
        let sink = ActionSink { capture, pipe: pipe.clone(), label: LineLabel::new(&action) };
        if let Some(place) = &place {
            launch.env.insert(ACTION_MARK, &action_mark(number));
            launch = exec_command(place, &launch, false);
        }
        let command = self.processes.spawn_one_shot(&launch, sink);
        let processes = self.processes.clone();
        let inside = place.map(|place| InsideAction { processes, place, number });
        let (ending, ends) = watch::channel(Ending::No);
        let (left, client_left) = (!detach).then(oneshot::channel::<()>).unzip();
        let live = LiveAction {
            service: service.clone(),
            action: action.clone(),
            parallel,
            since: at.clone(),
            began: Instant::now(),
            handle: command.handle().clone(),
            ending,
            stuck: None,
        };
        let survivors = self.processes.survivors(command.handle());
        let task = ActionTask {
            service: service.clone(),
            action: action.clone(),
            command,
            inside,
            exit: None,
            pipe: pipe.clone(),
            ends,
            began: live.began,
        };
        self.live.insert(number, live);
        let reports = self.reports.0.clone();
        tokio::spawn(async move {
            let client_left = async {
                match client_left {
                    // An error says it: the client's end was dropped.
                    Some(left) => drop(left.await),
                    None => std::future::pending().await,
                }
            };
            task.run(client_left, survivors, |what| {
                // Without a receiver the stack is shutting down.
                let _ = reports.send(ActionReport { number, what });
            })
            .await;
        });
        let started = ActionUpdate::Started { service, action, at, number };
        ActionOutput::new(pipe, started, left)
    }

    /// Waits for the next change of what runs.
    pub async fn next_end(&mut self) -> ActionNews {
        // The sender is ours.
        let Some(report) = self.reports.1.recv().await else { return std::future::pending().await };
        let ActionReport { number, what } = report;
        match what {
            ActionChange::Ended(end) => {
                let stuck = end.exit.as_ref().err().filter(|_| end.stuck).cloned();
                match self.live.get_mut(&number).filter(|_| stuck.is_some()) {
                    Some(live) => live.stuck = stuck,
                    None => drop(self.live.remove(&number)),
                }
                ActionNews::Ended(end)
            }
            ActionChange::Gone => match self.live.remove(&number) {
                Some(LiveAction { service, action, .. }) => ActionNews::Gone { service, action },
                None => ActionNews::None,
            },
        }
    }

    /// Whether none runs whose end is worth waiting for.
    pub fn is_idle(&self) -> bool {
        self.live.values().all(|live| live.stuck.is_some())
    }

    /// Returns those that cannot be killed, with their services.
    pub fn stuck(&self) -> impl Iterator<Item = (&Name, &Message)> {
        self.live.values().filter_map(|live| Some((&live.service, live.stuck.as_ref()?)))
    }

    /// Returns why this action cannot be killed, if that is so.
    pub fn why_stuck(&self, service: &Name, action: &str) -> Option<&Message> {
        let meant = |live: &&LiveAction| live.service == *service && live.action.as_str() == action;
        self.live.values().filter(meant).find_map(|live| live.stuck.as_ref())
    }

    /// Ends the actions of these services.
    pub fn end(&self, is_meant: impl Fn(&Name) -> bool, why: &str) {
        let meant = self.live.values().filter(|live| is_meant(&live.service));
        meant.for_each(|live| live.terminate(why));
    }

    /// Ends an action where it runs, or only the one with this number. Returns whether it runs.
    pub fn stop(&self, service: &Name, action: &str, number: Option<u64>) -> bool {
        let meant = self.live.iter().filter(|(live_number, live)| {
            live.service == *service
                && live.action.as_str() == action
                && number.is_none_or(|number| number == **live_number)
        });
        let ended = meant.map(|(_, live)| live.terminate("requested"));
        ended.count() > 0
    }

    pub fn kill_all(&self) {
        self.live.values().for_each(|live| drop(live.ending.send_replace(Ending::Kill)));
    }

    /// Adds what runs to the views of services.
    pub fn fill(&self, services: &mut [ServiceView]) {
        for (number, live) in &self.live {
            let service = services.iter_mut().find(|view| view.name == live.service);
            let actions = service.into_iter().flat_map(|view| &mut view.actions);
            for view in actions.filter(|view| view.name == live.action) {
                let (since, pid) = (live.since.clone(), live.handle.main());
                view.running.push(RunningAction { number: *number, since, pid });
            }
        }
    }
}

impl LiveAction {
    fn terminate(&self, why: &str) {
        self.ending.send_if_modified(|ending| {
            let first = *ending == Ending::No;
            if first {
                *ending = Ending::Terminate(why.to_owned());
            }
            first
        });
    }
}

/// Waits for the end of one action.
struct ActionTask {
    service: Name,
    action: Name,
    command: OneShotCommand,
    /// Its part in a container.
    inside: Option<InsideAction>,
    /// The result of its main process, once known.
    exit: Option<Result<ProcessExit, Message>>,
    pipe: Arc<ActionPipe>,
    ends: watch::Receiver<Ending>,
    began: Instant,
}

impl ActionTask {
    async fn run(
        mut self,
        client_left: impl Future<Output = ()>,
        survivors: impl Fn() -> Vec<Survivor> + Clone + Send + 'static,
        report: impl Fn(ActionChange),
    ) {
        let asked = async {
            match self.ends.wait_for(|ending| *ending != Ending::No).await {
                Ok(ending) => ending.clone(),
                // The stack is shutting down.
                Err(_) => Ending::Kill,
            }
        };
        let first = tokio::select! {
            biased;
            exit = self.command.exited() => Ok(exit),
            ending = asked => Err(ending),
            () = client_left => Err(Ending::Terminate("its client has left".to_owned())),
        };
        self.pipe.open();
        let cause = match first {
            Ok(exit) => {
                self.exit = Some(exit);
                None
            }
            Err(Ending::Terminate(why)) => {
                self.terminate().await;
                Some(why)
            }
            Err(Ending::No | Ending::Kill) => Some("killed".to_owned()),
        };
        let reached = match &self.inside {
            Some(inside) => inside.signal("KILL").await,
            None => true,
        };
        for look in 1..=LOOKS {
            if let Ok((exit, left)) = timeout(KILL_TIMEOUT, self.killed()).await {
                let end = self.end(exit, cause, left);
                let unreached = !reached && end.cause.is_some();
                return report(ActionChange::Ended(ActionEnd { unreached, ..end }));
            }
            let found = off_loop(survivors.clone()).await.unwrap_or_default();
            if !found.is_empty() || look == LOOKS {
                let why = unstoppable(&format!("action {} ", self.action), &found);
                let end = ActionEnd { stuck: true, ..self.end(Err(why), cause, Vec::new()) };
                report(ActionChange::Ended(end));
                break;
            }
        }
        drop(self.killed().await);
        report(ActionChange::Gone);
    }

    /// Kills what is left of it and waits for the end of that. Can be cancelled and repeated.
    async fn killed(&mut self) -> (Result<ProcessExit, Message>, Vec<String>) {
        let exit = match &self.exit {
            Some(exit) => exit.clone(),
            None => {
                self.command.handle().kill();
                self.exit.insert(self.command.exited().await).clone()
            }
        };
        (exit, self.command.emptied().await)
    }

    /// Sends the client the last update.
    fn end(
        &self,
        exit: Result<ProcessExit, Message>,
        cause: Option<String>,
        left: Vec<String>,
    ) -> ActionEnd {
        self.pipe.end(match &exit {
            Ok(exit) => ActionUpdate::Ended { exit: *exit, cause: cause.clone() },
            Err(error) => ActionUpdate::Failed { error: error.clone() },
        });
        let (service, action) = (self.service.clone(), self.action.clone());
        let took = self.began.elapsed();
        ActionEnd { service, action, exit, cause, took, left, stuck: false, unreached: false }
    }

    /// Asks it to exit, and gives it time for that unless it is killed meanwhile.
    async fn terminate(&mut self) {
        match &self.inside {
            Some(inside) => drop(inside.signal("TERM").await),
            None => self.command.handle().stop(libc::SIGTERM),
        }
        let killed = self.ends.wait_for(|ending| *ending == Ending::Kill);
        tokio::select! {
            biased;
            exit = self.command.exited() => self.exit = Some(exit),
            _ = killed => {}
            () = tokio::time::sleep(GRACE) => {}
        }
    }
}
