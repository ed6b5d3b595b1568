//! What a container needs before it starts: its image, its volumes, and that no other container of its
//! service is left. No time limit of readiness counts meanwhile.

use super::container_host::ContainerHost;
use crate::container::{self, EngineClient, build_command, pull_command};
use crate::log::last_lines;
use crate::model::{
    CommandLine, ContainerConfig, ImageBuild, ImageSource, LaunchConfig, Message, Name,
    ProcessExit, PullPolicy, RedactedText, RunId, Service, VolumeSource,
};
use crate::process::OutputTail;
use crate::supervisor::executor::{CaptureSink, TeeSink};

/// How much output of a failed pull or build is looked at for the reason.
const TAIL: usize = 8 << 10;
const LINES: usize = 20;

impl ContainerHost {
    /// Makes everything ready for a container, and returns the image to run.
    pub(super) async fn prepare(
        &self,
        run: RunId,
        service: &Service,
        container: &ContainerConfig,
        client: &EngineClient,
    ) -> Result<String, Message> {
        self.remove_others(&service.name, client).await?;
        let image = match &container.source {
            ImageSource::Image(image) => {
                self.pull(run, &service.name, image, container.pull, client).await?;
                image.expose().to_owned()
            }
            ImageSource::Build(build) => {
                self.build(run, service, build, container.pull, client).await?
            }
        };
        for mount in &container.volumes {
            if let VolumeSource::Named(name) = &mount.source {
                let labels = self.labels.of_volume(&self.dir.to_string_lossy());
                let created = client.create_volume(&self.labels.volume(name), &labels).await;
                created.map_err(|error| client.message(&error))?;
            }
        }
        Ok(image)
    }

    /// Two containers of a service never run at once, even if the removal of the last one failed.
    async fn remove_others(&self, name: &Name, client: &EngineClient) -> Result<(), Message> {
        let explain = |error| client.message(&error);
        let token = &self.labels.token;
        for other in client.containers_of_service(token, name).await.map_err(explain)? {
            client.remove(&other.id).await.map_err(explain)?;
        }
        Ok(())
    }

    async fn pull(
        &self,
        run: RunId,
        name: &Name,
        image: &RedactedText,
        policy: PullPolicy,
        client: &EngineClient,
    ) -> Result<(), Message> {
        let found = || async {
            client.has_image(image.expose()).await.map_err(|error| client.message(&error))
        };
        let engine = client.address().engine;
        match policy {
            PullPolicy::Missing if found().await? => return Ok(()),
            PullPolicy::Never if found().await? => return Ok(()),
            PullPolicy::Never => return Err(container::image_missing(engine, image.redacted())),
            PullPolicy::Missing | PullPolicy::Always => {}
        }
        self.progress(run, format!("pulling {}", image.redacted()));
        let command = pull_command(client.address(), image);
        let failed = |lines: Vec<String>| container::pull_failed(engine, image.redacted(), &lines);
        self.command(run, name, command).await.map_err(failed)
    }

    /// Returns what builds an image. `None`: its engine is not known, as nothing was started there.
    pub fn build_launch(
        &self,
        name: &Name,
        build: &ImageBuild,
        container: &ContainerConfig,
    ) -> Option<LaunchConfig> {
        let address = self.known_engine(container.engine)?;
        let command = build_command(&address, build, &self.labels.image(name), container.pull);
        Some(self.launch(command))
    }

    /// Builds the image of a service. Its tag is the same for every build: what was replaced is
    /// removed with the engine's own `image prune`.
    async fn build(
        &self,
        run: RunId,
        service: &Service,
        build: &ImageBuild,
        policy: PullPolicy,
        client: &EngineClient,
    ) -> Result<String, Message> {
        let dir = build.context.display().to_string();
        self.progress(run, format!("building {dir}"));
        let tag = self.labels.image(&service.name);
        let command = build_command(client.address(), build, &tag, policy);
        let failed = |lines: Vec<String>| container::build_failed(&dir, &lines);
        self.command(run, &service.name, command).await.map_err(failed)?;
        Ok(tag)
    }

    fn launch(&self, command: CommandLine) -> LaunchConfig {
        LaunchConfig {
            command,
            container: None,
            dir: self.dir.clone(),
            env: Default::default(),
            host: String::new(),
            requires: None,
        }
    }

    /// Runs a command of the engine, whose output goes to the log of the service. Dropping this ends
    /// it. An error is its last lines.
    async fn command(
        &self,
        run: RunId,
        name: &Name,
        command: CommandLine,
    ) -> Result<(), Vec<String>> {
        let launch = self.launch(command);
        let (capture, _) = self.logs.capture(name, run, Vec::new());
        let tail = OutputTail::new(TAIL);
        let sink = TeeSink { sink: CaptureSink(capture), tail: tail.clone() };
        let mut command = self.processes.spawn_one_shot(&launch, sink);
        match command.exited().await {
            Ok(ProcessExit::Code(0)) => Ok(()),
            Ok(_) => {
                // The output is complete only when the tree is empty.
                command.emptied().await;
                Err(last_lines(&tail.bytes(), LINES))
            }
            Err(why) => Err(vec![why.text]),
        }
    }
}
