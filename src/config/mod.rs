//! The configuration: text → raw values with spans → checked [`Config`] (ports still open) →
//! [`crate::model::Stack`].
//!
//! Only `load` reads files; everything else is pure. Errors are collected rather than returned one
//! by one: [`DiagnosticList`] has all of them with file, line and column.
//!
//! By default, a task is not restarted and is ready as soon as it has started.

mod advice;
mod assemble;
mod book;
mod build;
mod check;
mod debugging;
mod deep_stack;
mod diagnostic;
mod diagnostics;
mod dotenv;
mod draft;
mod env_file;
mod environment;
mod explain;
mod fault;
mod framework;
mod hidden;
mod keys;
mod links;
mod load;
mod node;
mod parse;
mod place;
mod profiles;
mod render;
mod replicas;
mod report;
mod schema;
mod source;
mod sources;
mod spec;
mod suggest;
mod template;
mod usual;
mod verify;
mod wishes;

pub use diagnostic::Diagnostic;
pub use diagnostics::DiagnosticList;
pub use dotenv::format_line;
pub use draft::{Config, DebugServices};
pub use explain::ExplainedEnv;
pub use load::{ConfigNames, config_names, load};
pub use schema::json_schema;
pub use source::SourceFile;
pub use sources::{ConfigOverrides, ConfigSources};
