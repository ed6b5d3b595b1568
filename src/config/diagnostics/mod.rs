//! Errors in a configuration: where, what, and what to type instead.

mod builder;
mod diagnostic;
mod list;
mod quote;
mod render;
mod report;
mod source_file;
mod span;

pub(crate) use builder::DiagnosticBuilder;
pub use diagnostic::Diagnostic;
pub use list::DiagnosticList;
pub(crate) use quote::{did_you_mean, list_or, nearest, quote, replicas_help};
pub(crate) use report::{LoadReport, LoadedFiles};
pub use source_file::SourceFile;
pub(crate) use span::Span;
