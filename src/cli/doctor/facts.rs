//! What was found out about the machine, the project and its stack, without any judgement.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::model::{Message, PortRequest};
use crate::ports::PortAvailability;

#[derive(Debug)]
pub(super) struct Facts {
    pub machine: Machine,
    pub project: Project,
    pub configuration: Configuration,
    pub left: Left,
}

/// Use of a limited resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub used: u64,
    /// `None`: no limit.
    pub most: Option<u64>,
}

/// Limits and visibility on this machine. `None`: unknown or not applicable.
#[derive(Debug)]
pub(super) struct Machine {
    pub watches: Option<Usage>,
    /// Watchers (inotify instances) of this user.
    pub watchers: Option<Usage>,
    /// Limit of open files per process: current and maximum.
    pub files: Option<(u64, u64)>,
    pub processes: Option<Usage>,
    /// First and last port of the range for outgoing connections.
    pub outgoing: (u16, u16),
    /// Whether processes can be pinned with a pidfd, to signal them safely.
    pub pins: bool,
    pub sight: Sight,
    pub localhost: Localhost,
}

/// Which processes this user can see.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(target_os = "macos", expect(dead_code, reason = "macOS always shows all processes"))]
pub(super) enum Sight {
    All,
    /// Only its own; holds the mount option that restricts it.
    Own(String),
    /// None: /proc is not mounted, or shows other processes.
    Nothing,
}

#[derive(Debug)]
pub(super) enum Localhost {
    /// This machine, as they should.
    Loopback,
    /// Another address.
    Elsewhere(IpAddr),
    /// Nothing; holds the error.
    Unknown(String),
    /// No response in time.
    Silent,
}

#[derive(Debug)]
pub(super) struct Project {
    pub dir: PathBuf,
    pub writable: bool,
    /// Kind of its file system, if files there may change without an event on this system.
    pub distant: Option<String>,
}

/// The configuration and what follows from it.
#[derive(Debug)]
pub(super) enum Configuration {
    Absent,
    /// It has errors; summarizes them.
    Wrong(Message),
    Good(Stack),
}

/// A stack that could be started.
#[derive(Debug)]
pub(super) struct Stack {
    pub name: String,
    pub services: usize,
    /// Whether any service watches files.
    pub watches: bool,
    pub runs: bool,
    pub unstartable: Vec<Unstartable>,
    pub wishes: Vec<PortRequest>,
    /// Wanted ports below 1024, and whether they are available.
    pub low: Vec<(u16, PortAvailability)>,
    /// Services that would get another port than the wanted one, or why no ports can be assigned.
    pub ports: Result<Vec<Move>, Vec<Message>>,
}

#[derive(Debug)]
pub(super) struct Unstartable {
    pub service: String,
    /// Whether a plain `up` would start it.
    pub starts: bool,
    pub why: Message,
}

#[derive(Debug)]
pub(super) struct Move {
    /// `api`, or `api.metrics`.
    pub whose: String,
    pub number: u16,
    /// A fragment: `port 5000 is in use by …`.
    pub why: String,
}

#[derive(Debug)]
pub(super) struct Left {
    pub stacks: Vec<LeftStack>,
    pub sockets: Vec<PathBuf>,
    /// Ports that are still leased although the devstack is gone, with their lock files.
    pub leases: Vec<(u16, PathBuf)>,
}

#[derive(Debug)]
pub(super) struct LeftStack {
    /// Its directory; `None` if that is gone.
    pub dir: Option<PathBuf>,
    /// Its processes with their names, or why they cannot be determined.
    pub processes: Result<Vec<(u32, String)>, String>,
}
