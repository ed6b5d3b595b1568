//! One stack per directory, and how other terminals talk to it.
//!
//! [`InstanceLock`] ensures that a directory has at most one devstack, and locates its socket.
//! [`serve`] answers on that socket for a
//! [`SupervisorHandle`](crate::supervisor::SupervisorHandle); [`ControlClient`] sends requests. The
//! protocol is described in `docs/protocol.md`.

mod client;
mod instance;
pub(crate) mod protocol;
pub(crate) mod server;
#[cfg(test)]
pub(crate) mod tests;

pub use client::{
    ActionStream, AttachConnection, AttachMessage, AttachReader, AttachWriter, ClientError,
    ControlClient, LineStream, WaitStream, WaitUpdate,
};
pub use instance::{
    AlreadyRunning, CaDir, ClaimError, CrashedInstance, DataOwner, DataPlaces, InstanceLock,
    InstanceRecord, KeptData, LocatedInstance, ProjectDir, ProjectRecord, RunningInstance,
    RuntimeDir, StateDir,
};
pub use protocol::{
    AttachEvent, AttachQuery, ChangesView, LogMark, LogPattern, LogQuery, PROTOCOL,
    VersionResponse, exactly_one, find_services,
};
pub use server::serve;
