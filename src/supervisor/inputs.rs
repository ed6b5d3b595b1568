//! Turns what woke the loop into engine inputs.

use std::borrow::Cow;

use super::env_inputs::EnvInputs;
use super::executor::{JobChange, JobReport};
use super::script_hints::with_hints;
use super::shutdown_request::ShutdownRequest;
use super::signal_listener::SignalAction;
use super::status::{early_end, event_lines, listen_notes, wrong_port};
use super::supervisor::{Supervisor, WakeReason};
use super::supervisor_handle::{AttachReply, ControlRequest, SupervisorRequest};
use crate::engine::{Input, KilledTree, ShutdownMode, Ticket};
use crate::model::{Event, EventKind, LOCK_FILE, Message, MessageClass, Name, RunId, Service};
use crate::ports::{self, NetworkInterface};
use crate::probe::{ProbeFinding, ProbeReport};
use crate::process::{self, RunChange, RunReport};
use crate::terminal::ClientScreen;
use crate::watch::WatchReport;

impl Supervisor {
    /// Converts a wakeup to inputs.
    pub(super) fn collect_inputs(&mut self, wake: WakeReason, inputs: &mut Vec<Input>) {
        match wake {
            WakeReason::RunReport(report) => self.on_run_report(report, inputs),
            WakeReason::ProbeReport(report) => self.on_probe_report(report, inputs),
            WakeReason::PortVerdict(report) => inputs.push(self.on_port_report(report)),
            WakeReason::Found(found) => {
                if let Input::Unused(name) = &found {
                    self.executor.answer_unused(name);
                }
                inputs.push(found);
            }
            WakeReason::JobReport(JobReport { job, what: JobChange::Ended(result) }) => {
                self.executor.forget_job(job);
                inputs.push(Input::JobEnded(job, result));
            }
            WakeReason::JobReport(JobReport { job, what: JobChange::Survived(left) }) => {
                inputs.push(Input::Survived(KilledTree::Job(job), left));
            }
            WakeReason::ActionEnded(end) => self.on_action_end(end),
            WakeReason::WatchReport(report) => self.on_watch_report(report, inputs),
            WakeReason::Request(request) => self.on_request(request, inputs),
            WakeReason::Previewed(found, tell) => {
                // The client may have left.
                let _ = tell.send(self.planned(found));
            }
            WakeReason::Reloaded(reloaded) => self.on_reload(reloaded, inputs),
            WakeReason::Signal(SignalAction::End(number, name)) => {
                self.on_signal(number, name, inputs)
            }
            WakeReason::Signal(SignalAction::Resized) => self.resize_terminals(),
            WakeReason::Shutdown(ShutdownRequest { why, code, haste }) => {
                inputs.push(Input::Shutdown { ticket: None, why, code, haste });
            }
            WakeReason::LogTail(tail) => {
                self.status.add_tail(tail);
                self.report_settled();
            }
            WakeReason::LogTrouble => {
                self.logs.take_warnings().into_iter().for_each(|message| self.note(message));
            }
            WakeReason::Deadline => inputs.push(Input::Tick),
        }
    }

    /// Answers what a client asks, or passes it on to the engine. A client may have left when its answer is
    /// sent.
    fn on_request(&mut self, request: SupervisorRequest, inputs: &mut Vec<Input>) {
        match request {
            SupervisorRequest::Control(ControlRequest::Debug { names, on }, tell) => {
                self.take_switch(names, on, tell);
            }
            SupervisorRequest::Wake(names) => {
                inputs.extend(names.into_iter().map(Input::Connected));
            }
            SupervisorRequest::Control(request, tell) => {
                if let ControlRequest::Restart(names) = &request
                    && let Some(refusal) = self.launch_obstacle(names)
                {
                    return drop(tell.send(Err(refusal)));
                }
                let ticket = self.ticket(tell);
                if request == ControlRequest::Down {
                    self.end_requests.insert(ticket, None);
                }
                inputs.push(request.into_input(ticket));
            }
            SupervisorRequest::ClientLeft => {
                let gone = self.waiting.iter().filter(|(_, tell)| tell.is_closed());
                let gone: Vec<Ticket> = gone.map(|(ticket, _)| *ticket).collect();
                gone.iter().for_each(|ticket| {
                    self.waiting.remove(ticket);
                    self.end_requests.remove(ticket);
                });
                inputs.extend(gone.into_iter().map(Input::Cancel));
            }
            SupervisorRequest::Snapshot(tell) => {
                let _ = tell.send(self.snapshot());
            }
            SupervisorRequest::SnapshotWithUsage(tell) => {
                let _ = tell.send((self.snapshot(), self.executor.metered_runs()));
            }
            SupervisorRequest::Why(name, tell) => {
                let _ = tell.send(self.explain(&name));
            }
            SupervisorRequest::Plan(tell) => self.preview_plan(tell),
            SupervisorRequest::Attach(name, screen, tell) => {
                let _ = tell.send(self.attach(&name, screen));
            }
            SupervisorRequest::RunAction(order, tell) => {
                // The client may have left, which ends the action.
                let _ = tell.send(self.run_action(&order));
            }
            SupervisorRequest::StopAction(service, action, number, tell) => {
                let _ = tell.send(self.stop_action(&service, &action, number));
            }
            SupervisorRequest::Names(served) => self.set_names(served),
            SupervisorRequest::EnvInputs(name, tell) => {
                let _ = tell.send(self.given(&name));
            }
        }
    }

    /// Returns why a restart is refused: one of these services runs and could not be started again.
    fn launch_obstacle(&self, names: &[Name]) -> Option<Message> {
        let named = names.iter().flat_map(|name| self.stack().services_named(name));
        named.filter(|name| self.engine.is_up(name)).find_map(|name| {
            let why = process::check_launch(&self.stack().services.get(&name)?.launch)?;
            let text = format!("{name} keeps running and is not restarted: {}", why.text);
            Some(Message { text, ..why })
        })
    }

    fn attach(&mut self, name: &Name, screen: ClientScreen) -> Result<AttachReply, Message> {
        let service = self.stack().services.get(name).cloned();
        let service = service.ok_or_else(|| {
            Message::new(MessageClass::Usage, format!("{name} is no longer in the stack"))
        })?;
        let (seat, run) = self.executor.attach(&service, screen)?;
        let view = self.engine.view_of(name, |at| self.clock.timestamp(at));
        Ok(AttachReply { seat, run, cause: view.map(|view| view.cause).unwrap_or_default() })
    }

    fn on_run_report(&mut self, fact: RunReport, inputs: &mut Vec<Input>) {
        let run = fact.run;
        match fact.what {
            RunChange::Spawned { pid } => {
                // Otherwise the watcher reports when the lock is gone.
                if !self.reloader.follows {
                    self.keep_lock();
                }
                inputs.push(Input::Spawned(run, pid));
            }
            RunChange::SpawnFailed(message) => {
                let stack = self.stack().clone();
                self.executor.forget(run, &stack);
                inputs.push(Input::SpawnFailed(run, message));
            }
            RunChange::Exited(exit) => {
                self.executor.exited(run, exit);
                inputs.push(Input::Exited(run, exit));
            }
            RunChange::TreeEmpty { orphans: leftovers } => {
                // Reports sent before the end of a run belong to it, such as a failed stop command.
                while let Ok(report) = self.sources.probe_reports.try_recv() {
                    self.on_probe_report(report, inputs);
                }
                let stack = self.stack().clone();
                let own = self.executor.forget(run, &stack);
                let service = self.engine.launched_service(run);
                let why = service.and_then(|service| early_end(service, own, &leftovers));
                inputs.extend(why.map(|message| Input::Note(run, message)));
                inputs.push(Input::TreeEmpty(run));
                self.reloader.run_ended();
            }
        }
    }

    fn on_watch_report(&mut self, change: WatchReport, inputs: &mut Vec<Input>) {
        if self.engine.is_ending() {
            return;
        }
        match change {
            // One save may change the configuration too: then its new values come with the restart.
            WatchReport::Services(files) if self.reloader.has_unread_changes() => {
                self.awaiting_reload.extend(files);
            }
            WatchReport::Services(files) => inputs.push(Input::FilesChanged(files)),
            WatchReport::Config(files) => {
                let lock = self.stack().dir.join(LOCK_FILE);
                if files.contains(&lock) {
                    self.keep_lock();
                }
                if files.iter().any(|file| *file != lock) {
                    self.reloader.files_changed();
                }
            }
            WatchReport::StillChanging(more) => inputs.push(Input::StillChanging(more)),
            WatchReport::Degraded(message) => self.note(message),
        }
    }

    fn on_probe_report(&mut self, report: ProbeReport, inputs: &mut Vec<Input>) {
        let run = report.run;
        match report.what {
            ProbeFinding::Ready(what) => inputs.push(Input::ProbesPassed(run, what)),
            ProbeFinding::Failed(why) => inputs.push(Input::ProbeFailed(run, why)),
            ProbeFinding::Unhealthy(why) => inputs.push(Input::HealthFailed(run, why)),
            ProbeFinding::Healthy => inputs.push(Input::HealthRecovered(run)),
            ProbeFinding::ReloadsItself(line) => {
                let stack = self.stack().clone();
                inputs.push(Input::ReloadsItself(run));
                if let Some((name, note)) = self.executor.leave_to_reloader(run, &line, &stack) {
                    // Nothing is wrong, so the service keeps no message.
                    self.emit(Event { service: Some(name), what: EventKind::Note(note) });
                }
            }
            ProbeFinding::DebuggerListening => inputs.push(Input::DebuggerListening(run)),
            ProbeFinding::ForeignListener(port, holder, message) => {
                let service = self.engine.launched_service(run);
                let taken = service.and_then(|it| ports::judge_listener(it, port, &holder));
                inputs.push(match taken {
                    Some(thief) => Input::PortLost(run, thief),
                    None => Input::Note(run, message),
                })
            }
            ProbeFinding::Note(message) => inputs.push(Input::Note(run, message)),
            ProbeFinding::ListeningOn(addresses) => inputs.push(Input::ListeningOn(run, addresses)),
            ProbeFinding::WrongPort { given, actual } => {
                let Some(service) = self.service_of(run) else { return };
                // Debuggers open ports of their own, and keep the program from opening its own.
                if service.mode.is_debug() {
                    return;
                }
                let message = wrong_port(&service, given, &actual);
                // The scan after the service is ready clears this if it is no longer true.
                inputs.extend([
                    Input::ListeningOn(run, actual),
                    Input::ListenWarnings(run, vec![message]),
                ]);
            }
            ProbeFinding::Scanned { listening, early } => {
                let Some(service) = self.service_of(run) else { return };
                let remarks = listen_notes(&service, &listening, early, NetworkInterface::list);
                inputs.extend([
                    Input::ListeningOn(run, listening),
                    Input::ListenWarnings(run, remarks),
                ]);
            }
        }
    }

    /// The inputs of a service's environment.
    fn given(&self, name: &Name) -> Option<EnvInputs> {
        let (service, run) = self.engine.launched_or_next(name)?;
        let (environment, terminal) = self.executor.inherited_env(service);
        Some(EnvInputs {
            service: service.clone(),
            run,
            stack: self.stack().clone(),
            config: self.reloader.applied(),
            environment,
            terminal,
            container: run.and_then(|run| self.executor.container_place(run)),
        })
    }

    /// The service of a run, as configured now, with what is known about its script.
    fn service_of(&self, run: RunId) -> Option<Cow<'_, Service>> {
        let service = self.stack().services.get(self.engine.service_of(run)?)?;
        Some(with_hints(service, self.script_hints.get(&service.name).cloned()))
    }

    /// The first signal stops gracefully, the second kills, the third leaves the rest to the guard.
    fn on_signal(&mut self, number: i32, name: &str, inputs: &mut Vec<Input>) {
        self.interrupts += 1;
        let code = 128 + number;
        match self.interrupts {
            1 => inputs.push(Input::Shutdown {
                ticket: None,
                why: name.to_owned(),
                code,
                haste: ShutdownMode::Polite,
            }),
            2 => {
                self.status.write(vec![event_lines::killing(name)]);
                self.executor.actions.kill_all();
                inputs.push(Input::Shutdown {
                    ticket: None,
                    why: format!("{name} again"),
                    code,
                    haste: ShutdownMode::Now,
                });
            }
            _ => self.exit_code = Some(code),
        }
    }
}
