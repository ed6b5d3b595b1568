//! What the executor keeps of a live run.

use std::path::PathBuf;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::log::LogCapture;
use crate::model::{LaunchConfig, Name, OutputStream, Probe, ProcessExit};
use crate::presets::FrameworkReloader;
use crate::probe::{NotifySocket, ProbeHandle};
use crate::process::{BoxFuture, OutputSink, RunHandle};
use crate::supervisor::containers::{ContainerAdoption, ContainerRun};
use crate::supervisor::status::OwnExit;

/// The directory of notify sockets.
pub(super) struct NotifySocketDir {
    pub dir: PathBuf,
    /// Whether leftover sockets have been removed.
    pub cleared: bool,
}

impl NotifySocketDir {
    pub fn open(&mut self) -> Result<NotifySocket, String> {
        if !std::mem::replace(&mut self.cleared, true) {
            NotifySocket::remove_stale(&self.dir);
        }
        NotifySocket::open(&self.dir).map_err(|error| format!("{}: {error}", self.dir.display()))
    }
}

/// What is kept of a live run.
pub(super) struct ActiveRun {
    pub name: Name,
    /// The assigned main port.
    pub port: Option<u16>,
    pub handle: RunHandle,
    /// `None`: a program of this machine.
    pub container: Option<ContainerRun>,
    /// Containers that its command started itself.
    pub adoption: ContainerAdoption,
    pub launch: LaunchConfig,
    pub began: Instant,
    /// One per log probe, created before the process so that no line is missed; `None`: already
    /// taken.
    pub lines: Option<Vec<oneshot::Receiver<String>>>,
    /// For `READY=1`.
    pub notice: Option<NotifySocket>,
    /// The reloader that the program turned on itself.
    pub reloader: Option<&'static FrameworkReloader>,
    /// Whether its stdin is a terminal.
    pub terminal: bool,
    /// Whether it was asked to stop.
    pub stopping: bool,
    pub own_exit: Option<OwnExit>,
    pub probing: Option<ProbeHandle>,
    pub debugger: Option<ProbeHandle>,
    pub health: Option<ProbeHandle>,
}

impl ActiveRun {
    /// Returns the receivers of log and notify probes, in their order.
    pub fn probe_receivers(
        &mut self,
        probes: &[Probe],
        lines: Vec<oneshot::Receiver<String>>,
    ) -> Vec<oneshot::Receiver<String>> {
        let mut lines = lines.into_iter();
        let mut waits = Vec::new();
        for probe in probes {
            match probe {
                Probe::Log { .. } => waits.extend(lines.next()),
                Probe::Notify => waits.push(self.listen()),
                Probe::Tcp { .. }
                | Probe::Http { .. }
                | Probe::Exec { .. }
                | Probe::Delay { .. }
                | Probe::Healthcheck { .. } => {}
            }
        }
        waits
    }

    /// Without a socket the receiver fails at once.
    fn listen(&mut self) -> oneshot::Receiver<String> {
        let handle = self.handle.clone();
        match &mut self.notice {
            Some(notice) => notice.listen(move || handle.tree_pids()),
            None => oneshot::channel().1,
        }
    }
}

/// A log capture as the sink of a command.
pub(in crate::supervisor) struct CaptureSink(pub LogCapture);

impl OutputSink for CaptureSink {
    fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.0.push(stream, bytes);
    }

    fn full(&self) -> Option<BoxFuture> {
        self.0.full()
    }

    fn quiet_at(&self) -> Option<tokio::time::Instant> {
        self.0.quiet_at()
    }

    fn quiet(&mut self, now: tokio::time::Instant) {
        self.0.quiet(now);
    }

    fn closed(&mut self, _exit: Option<ProcessExit>) {
        self.0.close();
    }
}
