//! From a command line and an environment to the request that the guard executes.

mod argv;
mod data_dir;
mod exec_command;
mod inherited_env;
mod listen_fds;
mod prepared_spawn;
mod program_lookup;
mod shell_syntax;
pub(crate) mod spawn_errors;
mod spawn_request;

pub(crate) use argv::{command_summary, display_command, runs_under_shell};
pub(crate) use data_dir::{DATA_OF_ROOT, check_data_dir};
pub use exec_command::{ExecError, exec, exec_refused, locate_program};
pub use inherited_env::{EnvProvider, InheritedEnv};
pub use listen_fds::ListenFd;
pub(crate) use listen_fds::MAX_LISTEN_FDS;
pub use prepared_spawn::check_launch;
pub(crate) use prepared_spawn::{PreparedSpawn, prepare};
pub(crate) use spawn_request::{MAX_REQUEST, SpawnRequest};
