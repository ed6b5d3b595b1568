//! What was found out about the machine, the project and its stack, without any judgement.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::https::stores::StoreContent;
use crate::model::{Message, PortRequest};
use crate::ports::PortAvailability;

#[derive(Debug)]
pub(super) struct DoctorFacts {
    pub machine: MachineFacts,
    pub project: ProjectFacts,
    pub configuration: ConfigStatus,
    pub left: OrphanFacts,
}

/// Use of a limited resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct LimitUsage {
    pub used: u64,
    /// `None`: no limit.
    pub most: Option<u64>,
}

/// Limits and visibility on this machine. `None`: unknown or not applicable.
#[derive(Debug)]
pub(super) struct MachineFacts {
    pub watches: Option<LimitUsage>,
    /// Watchers (inotify instances) of this user.
    pub watchers: Option<LimitUsage>,
    /// Limit of open files per process: current and maximum.
    pub files: (u64, u64),
    pub processes: Option<LimitUsage>,
    /// First and last port of the range for outgoing connections.
    pub outgoing: (u16, u16),
    /// Whether processes can be pinned with a pidfd, to signal them safely.
    pub has_pidfd: bool,
    pub sight: ProcessVisibility,
    pub localhost: LocalhostNames,
    pub resolver: NameResolver,
    pub https: LocalCaFacts,
    pub proxy: ProxyFacts,
}

/// The process that serves the names of services.
#[derive(Debug)]
pub(super) enum ProxyFacts {
    NotRunning,
    Serving {
        ports: Vec<u16>,
        stacks: usize,
    },
    /// It does not respond as it should.
    Unreachable(Message),
}

/// Which processes this user can see.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(
    all(target_os = "macos", not(test)),
    expect(dead_code, reason = "macOS always shows all processes")
)]
pub(super) enum ProcessVisibility {
    All,
    /// Only its own; holds the mount option that restricts it.
    Own(String),
    /// None: /proc is not mounted, or shows other processes.
    Nothing,
}

/// The name below `localhost` that is looked up. A name server may be asked for it, so it is none of
/// a service.
pub(super) const LOCALHOST_NAME: &str = "devstack.localhost";

/// How programs of this machine resolve names.
#[derive(Debug, Clone, Copy)]
pub(super) enum NameResolver {
    /// By /etc/nsswitch.conf (glibc), to which services can be added.
    NameServices,
    /// By /etc/hosts and name servers only (musl).
    HostsFile,
    MacOs,
}

#[derive(Debug)]
pub(super) enum LocalhostNames {
    /// This machine, as they should.
    Loopback,
    /// Another address.
    Elsewhere(IpAddr),
    /// Nothing; holds the error.
    Unknown(String),
    /// No response in time.
    Silent,
}

/// The CA of `devstack trust`.
#[derive(Debug)]
pub(super) enum LocalCaFacts {
    Absent,
    Unusable(Message),
    Present {
        /// The day it expires.
        expires: String,
        expires_soon: bool,
        /// What each store holds.
        stores: Vec<(String, StoreContent)>,
    },
}

#[derive(Debug)]
pub(super) struct ProjectFacts {
    pub dir: PathBuf,
    pub writable: bool,
    /// Kind of its file system, if files there may change without an event on this system.
    pub network_file_system: Option<String>,
}

/// The configuration and what follows from it.
#[derive(Debug)]
pub(super) enum ConfigStatus {
    Absent,
    /// It has errors; summarizes them.
    Wrong(Message),
    Good(StackFacts),
}

/// A stack that could be started.
#[derive(Debug)]
pub(super) struct StackFacts {
    pub name: String,
    pub services: usize,
    /// Whether any service watches files.
    pub watches: bool,
    pub runs: bool,
    pub unstartable: Vec<UnstartableService>,
    pub port_requests: Vec<PortRequest>,
    /// Wanted ports below 1024, and whether they are available.
    pub privileged: Vec<(u16, PortAvailability)>,
    /// Services that would get another port than the wanted one, or why no ports can be assigned.
    pub ports: Result<Vec<MovedPort>, Vec<Message>>,
}

#[derive(Debug)]
pub(super) struct UnstartableService {
    pub service: String,
    /// Whether a plain `up` would start it.
    pub starts: bool,
    pub why: Message,
}

#[derive(Debug)]
pub(super) struct MovedPort {
    /// `api`, or `api.metrics`.
    pub whose: String,
    pub number: u16,
    /// A fragment: `port 5000 is in use by …`.
    pub why: String,
}

#[derive(Debug)]
pub(super) struct OrphanFacts {
    pub stacks: Vec<OrphanedStack>,
    pub sockets: Vec<PathBuf>,
    /// Ports that are still leased although the devstack is gone, with their lock files.
    pub leases: Vec<(u16, PathBuf)>,
}

#[derive(Debug)]
pub(super) struct OrphanedStack {
    /// Its directory; `None` if that is gone.
    pub dir: Option<PathBuf>,
    /// Its processes with their names, or why they cannot be determined.
    pub processes: Result<Vec<(u32, String)>, String>,
    /// The names of its containers.
    pub containers: Vec<String>,
}
