use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use super::action_output::{ActionOutput, ActionPipe};
use super::action_sink::{ActionSink, LineLabel};
use crate::log::StackLog;
use crate::model::{
    ActionUpdate, LaunchConfig, Message, Name, ProcessExit, RunId, RunningAction, ServiceView,
};
use crate::process::{OneShotCommand, ProcessManager, RunHandle};

/// How long an action may take to exit once it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// The actions that run. The guard keeps each, so that none of their processes outlives devstack.
pub(crate) struct ActionRunner {
    processes: Arc<ProcessManager>,
    logs: StackLog,
    live: BTreeMap<u64, LiveAction>,
    last: u64,
    ended: (mpsc::UnboundedSender<ActionEnd>, mpsc::UnboundedReceiver<ActionEnd>),
}

/// An action to be started.
pub(crate) struct ActionStart {
    pub service: Name,
    pub action: Name,
    pub parallel: bool,
    /// What runs, with its values.
    pub launch: LaunchConfig,
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
}

/// Whether an action is asked to end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    No,
    /// With TERM, and later KILL; why, as a fragment.
    Terminate(String),
    Kill,
}

/// The end of an action of which nothing is left.
#[derive(Debug)]
pub(crate) struct ActionEnd {
    number: u64,
    pub service: Name,
    pub action: Name,
    /// How it exited, or why it did not start.
    pub exit: Result<ProcessExit, Message>,
    /// Why it was ended, as a fragment; `None`: it exited by itself.
    pub cause: Option<String>,
    pub took: Duration,
    /// Names of the processes that it left behind, which are dead now.
    pub left: Vec<String>,
}

impl ActionRunner {
    pub fn new(processes: Arc<ProcessManager>, logs: StackLog) -> ActionRunner {
        ActionRunner {
            processes,
            logs,
            live: BTreeMap::new(),
            last: 0,
            ended: mpsc::unbounded_channel(),
        }
    }

    /// Returns the running action that another one of its service must wait for, with its age.
    pub fn in_the_way(&self, service: &Name) -> Option<(&Name, Option<u32>, Duration)> {
        let found = self.live.values().find(|live| live.service == *service && !live.parallel)?;
        Some((&found.action, found.handle.main(), found.began.elapsed()))
    }

    /// Starts an action.
    pub fn start(&mut self, start: ActionStart) -> ActionOutput {
        let ActionStart { service, action, parallel, launch, run, detach, at } = start;
        let (capture, _) = self.logs.capture(&service, run, Vec::new());
        let pipe = ActionPipe::new(detach);
        let sink = ActionSink { capture, pipe: pipe.clone(), label: LineLabel::new(&action) };
        let command = self.processes.spawn_one_shot(&launch, sink);
        self.last += 1;
        let (ending, ends) = watch::channel(Ending::No);
        let (left, client_left) = (!detach).then(oneshot::channel::<()>).unzip();
        let live = LiveAction {
            service: service.clone(),
            action: action.clone(),
            parallel,
            since: at.clone(),
            began: Instant::now(),
            handle: command.leash().clone(),
            ending,
        };
        let task = ActionTask {
            number: self.last,
            service: service.clone(),
            action: action.clone(),
            command,
            pipe: pipe.clone(),
            ends,
            began: live.began,
        };
        self.live.insert(self.last, live);
        let ended = self.ended.0.clone();
        tokio::spawn(async move {
            let client_left = async {
                match client_left {
                    // An error says it: the client's end was dropped.
                    Some(left) => drop(left.await),
                    None => std::future::pending().await,
                }
            };
            let end = task.run(client_left).await;
            // Without a receiver the stack is shutting down.
            let _ = ended.send(end);
        });
        let started = ActionUpdate::Started { service, action, at, number: self.last };
        ActionOutput::new(pipe, started, left)
    }

    /// Waits for the next end of an action.
    pub async fn next_end(&mut self) -> ActionEnd {
        match self.ended.1.recv().await {
            Some(end) => {
                self.live.remove(&end.number);
                end
            }
            // The sender is ours.
            None => std::future::pending().await,
        }
    }

    pub fn is_idle(&self) -> bool {
        self.live.is_empty()
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
    number: u64,
    service: Name,
    action: Name,
    command: OneShotCommand,
    pipe: Arc<ActionPipe>,
    ends: watch::Receiver<Ending>,
    began: Instant,
}

impl ActionTask {
    async fn run(mut self, client_left: impl Future<Output = ()>) -> ActionEnd {
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
        let (exit, cause) = match first {
            Ok(exit) => (exit, None),
            Err(Ending::Terminate(why)) => (self.terminate().await, Some(why)),
            Err(Ending::No | Ending::Kill) => {
                self.command.leash().kill();
                (self.command.exited().await, Some("killed".to_owned()))
            }
        };
        let left = self.command.emptied().await;
        let update = match &exit {
            Ok(exit) => ActionUpdate::Ended { exit: *exit, cause: cause.clone() },
            Err(error) => ActionUpdate::Failed { error: error.clone() },
        };
        self.pipe.end(update);
        let ActionTask { number, service, action, began, .. } = self;
        ActionEnd { number, service, action, exit, cause, took: began.elapsed(), left }
    }

    /// Asks it to exit, and kills it if it does not.
    async fn terminate(&mut self) -> Result<ProcessExit, Message> {
        self.command.leash().stop(libc::SIGTERM);
        let killed = self.ends.wait_for(|ending| *ending == Ending::Kill);
        tokio::select! {
            biased;
            exit = self.command.exited() => return exit,
            _ = killed => {}
            () = tokio::time::sleep(GRACE) => {}
        }
        self.command.leash().kill();
        self.command.exited().await
    }
}
