//! What is executed for a service.

mod launch_config;
mod launch_env;

pub use launch_config::LaunchConfig;
pub use launch_env::LaunchEnv;
