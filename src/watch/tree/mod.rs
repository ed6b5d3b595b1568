//! What is known of the watched directories and files.

mod dir_listing;
mod dir_walk;
mod file_tree;
mod fingerprint;
mod path_kind;
mod refresh;
mod resolved_path;
mod tracked_links;
mod watched_dir;

pub(crate) use file_tree::{ChangedFile, FileTree, FilterId, UnknownFile};
pub(crate) use fingerprint::Fingerprint;
pub(crate) use path_kind::PathKind;
pub(crate) use resolved_path::ResolvedPath;
