//! The configuration: text → raw values with spans → checked [`Config`] (ports still open) →
//! [`crate::model::Stack`].
//!
//! Only `load` reads files; everything else is pure. Errors are collected rather than returned one
//! by one: [`DiagnosticList`] has all of them with file, line and column.
//!
//! By default, a task is not restarted and is ready as soon as it has started.

mod check;
mod config;
pub(crate) mod diagnostics;
pub(crate) mod env;
mod importable;
mod load;
mod parse;
mod resolve;
mod schema;
mod sources;
mod spec;
mod template;

pub use config::{Config, DebugServices};
pub use diagnostics::{Diagnostic, DiagnosticList, SourceFile};
pub use env::{ExplainedEnv, format_line};
pub use importable::{MANIFESTS, STACK_FILES, StackFormat};
pub use load::{ConfigNames, ImportTrust, LOCAL_FILE, config_files, config_names, load};
pub(crate) use parse::{ProcessRole, ProcfileEntry, VENV_PATH, VENVS, is_procfile, read_procfile};
pub(crate) use resolve::command_words;
pub use schema::json_schema;
pub use sources::{ConfigOverrides, ConfigSources};
