//! Containers as services: which engine there is, what it says, and the command lines for it.
//!
//! The main process of a run is the engine's program in the foreground (`docker run`), so output, exit
//! codes, signals and terminals are those of a process. What that cannot tell comes from the API of
//! the engine over its Unix socket ([`EngineClient`]): whether an image is there, where the container
//! listens, and that nothing of it is left. See `docs/decisions/0025-containers.md`.

mod command_line;
mod control_group;
mod discovery;
mod engine_client;
mod engine_error;
mod failure_text;
mod inside_listener;
mod inside_processes;
mod labels;
mod leftovers;
mod published_port;
mod reply;

pub use command_line::{
    ContainerCommand, build_command, check_command, exec_command, exec_words, pull_command,
};
pub use control_group::{
    MEMBERS, MEMORY_FILES, counts_memory_kill, group_dirs, is_process_of, memory_limit,
};
pub use discovery::{DiscoveryFacts, EngineCandidate, candidates, find_engine};
pub use engine_client::EngineClient;
pub use engine_error::EngineError;
pub use failure_text::{
    RefusedStart, build_failed, image_missing, out_of_memory, pull_failed, start_refused,
    still_running,
};
pub use inside_listener::{InsideListener, inside_listener};
pub use inside_processes::{ACTION_MARK, action_mark, signal_command};
pub use labels::ContainerLabels;
pub use leftovers::{ContainerLeftovers, find_containers, remove_containers};
pub use published_port::{ForeignContainer, publisher_of};
pub use reply::{ContainerFacts, ContainerHealth, ContainerSummary, StackVolume};
