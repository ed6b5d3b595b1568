//! Exports for other programs, in their own formats.

mod launch_json;
pub mod vscode;

pub use launch_json::LaunchJson;
