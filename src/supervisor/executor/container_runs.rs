//! Runs whose main process is the program of a container engine.

use std::sync::Arc;

use super::Executor;
use super::active_run::ActiveRun;
use crate::container::{RefusedStart, exec_command, start_refused};
use crate::model::{
    CommandLine, ContainerEngine, ContainerPlace, ImageSource, LaunchConfig, Message, Name,
    ProcessExit, RunId, Service, Stack,
};
use crate::process::RunHandle;
use crate::supervisor::containers::{ContainerHost, ContainerRun, ContainerStart};
use crate::terminal::RunOutputSink;

impl Executor {
    /// Prepares and starts a container. Its run is reported like any other.
    pub(super) fn start_container(
        &mut self,
        run: RunId,
        service: &Arc<Service>,
        stack: &Stack,
        output: RunOutputSink,
    ) -> (RunHandle, ContainerRun) {
        let reserved = self.processes.reserve(run, &service.launch);
        let handle = reserved.handle().clone();
        let host = self.containers.get_or_insert_with(|| {
            let (processes, logs) = (self.processes.clone(), self.logs.clone());
            let (reports, record) = (self.reports.clone(), self.engines.clone());
            Arc::new(ContainerHost::new(processes, logs, reports, record, stack))
        });
        let group = stack.group_of(&service.name).cloned();
        let start = ContainerStart { reserved, run, service: service.clone(), group };
        (handle, ContainerRun::start(host, start, output))
    }

    /// Returns what builds the image of a service, if this command stands for that.
    pub(super) fn image_build(
        &self,
        service: &Service,
        command: &CommandLine,
    ) -> Option<LaunchConfig> {
        let container = service.launch.container.as_ref()?;
        let ImageSource::Build(build) = &container.source else { return None };
        let host = self.containers.as_ref().filter(|_| *command == build.label())?;
        host.build_launch(&service.name, build, container)
    }

    /// Returns where commands run inside the container of a run. `None`: it has none that runs.
    pub(crate) fn container_place(&self, run: RunId) -> Option<ContainerPlace> {
        self.runs.get(&run)?.container.as_ref()?.place()
    }

    /// Returns what explains the exit of a run whose container never ran, from its last lines.
    /// `None`: it ran.
    pub(crate) fn refusal(&mut self, run: RunId, service: &Service) -> Option<RunRefusal> {
        let ContainerExit { engine, code, ran } = self.container_exits.remove(&run)?;
        let image = service.launch.container.as_ref()?.image();
        Some(RunRefusal { engine, code, ran, service: service.name.clone(), image })
    }
}

/// The exit of a run whose command may never have run.
#[derive(Debug, Clone)]
pub struct RunRefusal {
    engine: ContainerEngine,
    code: i32,
    ran: bool,
    service: Name,
    image: String,
}

/// How the program of an engine exited.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContainerExit {
    engine: ContainerEngine,
    code: i32,
    /// Whether its container was seen running.
    ran: bool,
}

impl RunRefusal {
    /// Explains it with the last lines of the run.
    pub fn message(&self, lines: &[String]) -> Option<Message> {
        let RunRefusal { engine, code, ran, service, image } = self;
        let (engine, code, ran) = (*engine, *code, *ran);
        start_refused(RefusedStart { engine, code, ran, service, image, lines })
    }
}

impl ContainerExit {
    /// `None`: the run has no container, or its engine is not known yet.
    pub fn of(held: &ActiveRun, exit: ProcessExit) -> Option<ContainerExit> {
        let container = held.container.as_ref()?;
        let (engine, ran) = (container.engine()?, container.is_running());
        Some(ContainerExit { engine, code: exit.exit_code(), ran })
    }
}

impl ActiveRun {
    /// Ends a container that does not run yet: no signal would reach it. Returns whether it did.
    pub fn ends_container_early(&mut self) -> bool {
        let Some(container) = self.container.as_mut().filter(|it| !it.is_running()) else {
            return false;
        };
        container.end_early(self.handle.clone());
        true
    }

    /// Returns what runs a command where the service runs: inside its container, if it has one.
    pub fn inside(&self, launch: LaunchConfig) -> LaunchConfig {
        match self.container.as_ref().and_then(ContainerRun::place) {
            Some(place) => exec_command(&place, &launch, false),
            None => launch,
        }
    }
}
