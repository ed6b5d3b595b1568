use std::time::Duration;

use super::CommandLine;

/// When a service counts as ready: all probes pass, or without probes as soon as it has started.
/// `P` is the form of probes: resolved, or as written in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadyConfig<P = Probe> {
    /// All of them must pass.
    pub probes: Vec<P>,
    /// The limit after which the start counts as failed.
    pub timeout: Duration,
    /// The longest pause between two attempts of one probe.
    pub interval: Duration,
}

impl<P> ReadyConfig<P> {
    /// Returns the same with probes of another form.
    pub fn map<Q>(&self, map: impl FnOnce(&[P]) -> Vec<Q>) -> ReadyConfig<Q> {
        let ReadyConfig { probes, timeout, interval } = self;
        ReadyConfig { probes: map(probes), timeout: *timeout, interval: *interval }
    }
}

impl<P> HealthConfig<P> {
    /// Returns the same with probes of another form.
    pub fn map<Q>(&self, map: impl FnOnce(&[P]) -> Vec<Q>) -> HealthConfig<Q> {
        let HealthConfig { probes, interval, failures, action } = self;
        let (interval, failures, action) = (*interval, *failures, *action);
        HealthConfig { probes: map(probes), interval, failures, action }
    }
}

/// One check of a running service.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A process of its own tree accepts connections on this port.
    Tcp {
        /// The port on loopback; of a container: outside, where its own port is published.
        port: u16,
    },
    /// `GET url` returns a status that is accepted.
    Http {
        /// An absolute `http://` or `https://` URL.
        url: String,
        status: AcceptedStatus,
        /// Whether an `https` server may have any certificate.
        insecure: bool,
        /// The port, if it is the service's own: its listener must be in the process tree.
        own_port: Option<u16>,
    },
    /// A line of its output matches.
    Log {
        /// A valid regular expression, matched without line end and escape sequences.
        pattern: String,
    },
    /// A command exits with code 0.
    Exec {
        /// Runs in the service's directory with its environment; in a container: inside.
        command: CommandLine,
    },
    /// The service has been running this long.
    Delay {
        /// Time since the start of the process.
        delay: Duration,
    },
    /// The service sends `READY=1` to `NOTIFY_SOCKET`, as with `sd_notify` of systemd.
    Notify,
    /// Its container is healthy by the `HEALTHCHECK` of its image.
    Healthcheck {
        /// Whether an image without one counts as healthy.
        optional: bool,
    },
}

/// Which HTTP status is a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptedStatus {
    /// Any below 400.
    NoError,
    Any,
    /// One of these.
    Only(Vec<u16>),
}

impl AcceptedStatus {
    /// Whether this status is a success.
    pub fn accepts(&self, status: u16) -> bool {
        match self {
            AcceptedStatus::NoError => status < 400,
            AcceptedStatus::Any => true,
            AcceptedStatus::Only(list) => list.contains(&status),
        }
    }
}

/// Probes that continue once a service is ready; `P` as in [`ReadyConfig`].
#[derive(Debug, Clone, PartialEq)]
pub struct HealthConfig<P = Probe> {
    /// All of them must pass, at least one: TCP, HTTP or commands.
    pub probes: Vec<P>,
    /// The pause between two rounds.
    pub interval: Duration,
    /// How many rounds in a row must fail before the service is unhealthy, at least 1.
    pub failures: u32,
    /// What to do then.
    pub action: HealthAction,
}

/// What happens when a service becomes unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthAction {
    Report,
    /// It is reported, and the service restarts with the delays of a crash.
    Restart,
}
