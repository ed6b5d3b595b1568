//! What was seen of the machine, the project and its stack. Nothing here judges.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::model::{Message, PortWish};
use crate::ports::Availability;

/// All that is judged.
#[derive(Debug)]
pub(super) struct Facts {
    pub machine: Machine,
    pub project: Project,
    pub configuration: Configuration,
    pub left: Left,
}

/// How much of something is used, and the most that there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub used: u64,
    /// `None`: no limit.
    pub most: Option<u64>,
}

/// What the system limits, and what it shows. `None`: it does not tell, or has no such thing.
#[derive(Debug)]
pub(super) struct Machine {
    /// Folders that this user watches.
    pub watches: Option<Usage>,
    /// Programs of this user that watch.
    pub watchers: Option<Usage>,
    /// How many files one process may open: now, and at most when it asks.
    pub files: Option<(u64, u64)>,
    /// Processes and threads of this user.
    pub processes: Option<Usage>,
    /// The first and last port that the kernel gives outgoing connections.
    pub outgoing: (u16, u16),
    /// Whether a process can be held on to while it is looked at and signalled.
    pub pins: bool,
    pub sight: Sight,
    pub localhost: Localhost,
}

/// Which processes this user is shown.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(target_os = "macos", expect(dead_code, reason = "macOS always shows all processes"))]
pub(super) enum Sight {
    All,
    /// Its own; the option of the mount that says so.
    Own(String),
    /// None: nothing is mounted at /proc, or what shows other processes.
    Nothing,
}

/// What names below `localhost` mean here.
#[derive(Debug)]
pub(super) enum Localhost {
    /// This machine, as they should.
    Loopback,
    /// Something else.
    Elsewhere(IpAddr),
    /// Nothing; why.
    Unknown(String),
    /// Nobody answered in time.
    Silent,
}

/// The folder that it is about.
#[derive(Debug)]
pub(super) struct Project {
    pub dir: PathBuf,
    pub writable: bool,
    /// The kind of its file system, when others may change its files without a word to this system.
    pub distant: Option<String>,
}

/// The configuration and what follows from it.
#[derive(Debug)]
pub(super) enum Configuration {
    /// There is none here.
    Absent,
    /// It has mistakes: the first, and how many more there are.
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
    /// Whether it runs now.
    pub runs: bool,
    /// Services that could not be started.
    pub unstartable: Vec<Unstartable>,
    pub wishes: Vec<PortWish>,
    /// For wishes below 1024: whether they may be had.
    pub low: Vec<(u16, Availability)>,
    /// Which service would get another port than it wishes for, and why; or why there is none.
    pub ports: Result<Vec<Move>, Vec<Message>>,
}

/// A service that could not be started.
#[derive(Debug)]
pub(super) struct Unstartable {
    pub service: String,
    /// Whether `up` alone would start it.
    pub starts: bool,
    pub why: Message,
}

/// A port that is not the wanted one.
#[derive(Debug)]
pub(super) struct Move {
    /// `api`, or `api.metrics`.
    pub whose: String,
    pub number: u16,
    /// A fragment: `port 5000 is held by …`.
    pub why: String,
}

/// What stacks left that were killed.
#[derive(Debug)]
pub(super) struct Left {
    pub stacks: Vec<LeftStack>,
    /// Sockets that nobody listens to.
    pub sockets: Vec<PathBuf>,
    /// Ports that are kept from all although the devstack which leased them is gone, with their lock files.
    pub leases: Vec<(u16, PathBuf)>,
}

/// A stack that did not end by itself.
#[derive(Debug)]
pub(super) struct LeftStack {
    /// Its folder; `None` when that is gone.
    pub dir: Option<PathBuf>,
    /// Its processes with their names; or why they cannot be known.
    pub processes: Result<Vec<(u32, String)>, String>,
}
