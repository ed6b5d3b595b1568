//! What other programs want to know of a stack, in their own formats.

mod launch_file;
pub mod vscode;

pub use launch_file::LaunchFile;
