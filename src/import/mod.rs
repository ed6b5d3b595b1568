//! Reads the files of other programs for `devstack init`: what they start becomes an
//! [`ImportedStack`], and what has no counterpart becomes an [`ImportNote`]. Nothing is dropped
//! without one.

mod devstack_toml;
mod imported_stack;
mod procfile;

pub use imported_stack::{
    ImportNote, ImportedCommand, ImportedProbe, ImportedService, ImportedStack, ProbeTest,
};
pub use procfile::read_procfile_stack;
