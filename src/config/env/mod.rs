//! The environment of a service: env files, layers, and where each value comes from.

mod dotenv;
mod explain;
mod file;
mod interpolate;
pub(crate) mod reserved;
mod resolver;

pub use dotenv::format_line;
pub(crate) use dotenv::value_of;
pub use explain::ExplainedEnv;
pub(crate) use explain::explain;
pub(crate) use file::EnvFileSet;
pub(crate) use resolver::{EnvLayer, EnvResolver, LayerKind, layers};
