//! What the loop does with requests for actions.

use super::{ActionEnd, ActionNews, ActionOrder, ActionOutput, ActionStart, find_action};
use crate::model::{Event, EventKind, LaunchConfig, Message, MessageClass, Name, RunId, Service};
use crate::supervisor::RequestResult;
use crate::supervisor::supervisor::Supervisor;

impl Supervisor {
    /// Starts an action, or says why not.
    pub(in crate::supervisor) fn run_action(
        &mut self,
        order: &ActionOrder,
    ) -> Result<ActionOutput, Message> {
        if self.engine.is_ending() {
            return Err(Message::new(MessageClass::NotRunning, "the stack is shutting down"));
        }
        let name = &order.service;
        let removed = || {
            let text = format!("{name} is no longer in the stack");
            Message::new(MessageClass::Usage, text)
        };
        let service = self.stack().services.get(name).cloned().ok_or_else(removed)?;
        let (action_name, action) = find_action(&service, order)?;
        let actions = &self.executor.actions;
        if let Some(refusal) = actions.in_the_way(name, action_name, action.parallel) {
            return Err(refusal);
        }
        let (launched, run) = self.engine.launched_or_next(name).ok_or_else(removed)?;
        let mut launch = LaunchConfig {
            command: action.command_with(action_name, &order.args),
            requires: None,
            ..launched.launch.clone()
        };
        launch.env.extend(action.variables(&order.args));
        let place = run.and_then(|run| self.executor.container_place(run));
        if launch.container.is_some() && place.is_none() {
            return Err(no_container(&service));
        }
        let last_run = self.engine.view_of(name, |_| String::new()).and_then(|view| view.run);
        let at = self.clock.timestamp(self.clock.now());
        let output = self.executor.actions.start(ActionStart {
            service: name.clone(),
            action: action_name.clone(),
            parallel: action.parallel,
            launch,
            place,
            run: run.or(last_run).unwrap_or(RunId(0)),
            detach: order.detach,
            at,
        });
        let what = EventKind::ActionStarted { action: action_name.clone() };
        self.emit(Event { service: Some(name.clone()), what });
        Ok(output)
    }

    /// Asks a running action to end.
    pub(in crate::supervisor) fn stop_action(
        &mut self,
        service: &Name,
        action: &str,
        number: Option<u64>,
    ) -> RequestResult {
        if let Some(why) = self.executor.actions.why_stuck(service, action) {
            return Err(why.clone());
        }
        match self.executor.actions.stop(service, action, number) {
            true => Ok(format!("ending {action} of {service}")),
            false => {
                let text = format!("{action} of {service} is not running");
                Err(Message::new(MessageClass::Usage, text).help("see `devstack do`"))
            }
        }
    }

    /// Reports the end of an action.
    pub(in crate::supervisor) fn on_action_end(&mut self, news: ActionNews) {
        self.snapshot = None;
        let end = match news {
            ActionNews::None => return,
            ActionNews::Ended(end) => end,
            ActionNews::Gone { service, action } => {
                let text = format!("action {action}, which could not be killed, is gone");
                let what = EventKind::Note(Message::new(MessageClass::StopTimeout, text));
                return self.emit(Event { service: Some(service), what });
            }
        };
        if end.unreached {
            let what = EventKind::Note(unreached(&end));
            self.emit(Event { service: Some(end.service.clone()), what });
        }
        let ActionEnd { service, action, exit, cause, took, left, .. } = end;
        let what = EventKind::ActionEnded { action, exit, cause, took, left };
        self.emit(Event { service: Some(service), what });
    }

    /// Answers the requests for the end of the stack, once actions are over too.
    pub(in crate::supervisor) fn answer_end_requests(&mut self) {
        let stuck: Vec<(&Name, &Message)> = self.executor.actions.stuck().collect();
        for (ticket, answer) in std::mem::take(&mut self.end_requests) {
            if let (Some(tell), Some(answer)) = (self.waiting.remove(&ticket), answer) {
                // The client may have left.
                let _ = tell.send(with_stuck_actions(answer, &stuck));
            }
        }
    }

    /// Ends the actions that an event leaves without their service.
    pub(in crate::supervisor) fn end_actions_after(&self, event: &EventKind) {
        let actions = &self.executor.actions;
        match event {
            EventKind::ShuttingDown(_) => actions.end(|_| true, "the stack is shutting down"),
            EventKind::Applied(_) => {
                let services = &self.stack().services;
                let why = "its service was removed from the configuration";
                actions.end(|name| !services.contains_key(name), why);
            }
            _ => {}
        }
    }
}

/// Adds actions that cannot be killed to the result of a shutdown.
fn with_stuck_actions(answer: RequestResult, stuck: &[(&Name, &Message)]) -> RequestResult {
    let Some((_, first)) = stuck.first() else { return answer };
    let services = answer.err();
    let help = services.as_ref().map_or(&first.help, |error| &error.help).clone();
    let actions = stuck.iter().map(|(name, why)| format!("{name}: {}", why.text));
    let texts: Vec<String> = services.map(|error| error.text).into_iter().chain(actions).collect();
    Err(Message::new(MessageClass::StopTimeout, texts.join("; ")).help(help))
}

/// What an action may have left in its container.
fn unreached(end: &ActionEnd) -> Message {
    let text = format!(
        "cannot end what action {} started in the container: no `sh` runs there, or the engine does not answer",
        end.action
    );
    let help = format!("run `devstack restart {}` for a new container", end.service);
    Message::new(MessageClass::Container, text).help(help)
}

fn no_container(service: &Service) -> Message {
    let text = format!("{} runs in a container, and none is running", service.name);
    let help = format!("start it with `devstack start {}`", service.name);
    Message::new(MessageClass::NotRunning, text).help(help)
}
