//! Exports for other programs, in their own formats.

mod launch_file;
pub mod vscode;

pub use launch_file::LaunchJson;
