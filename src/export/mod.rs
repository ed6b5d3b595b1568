//! Exports for other programs, in their own formats.
//!
//! [`compose()`], [`kubernetes()`], [`systemd()`] and [`procfile()`] are pure: from a
//! [`crate::model::PortableStack`], which has no secret value, to an [`Export`]. Each file starts with
//! what could not be carried over.

mod base_image;
mod compose;
mod export_notes;
mod kubernetes;
mod launch_json;
mod procfile;
mod shell;
mod systemd;
pub mod vscode;
mod written_files;
mod yaml;

pub use compose::{ComposePlace, compose};
pub use export_notes::ExportNotes;
pub use kubernetes::kubernetes;
pub use launch_json::LaunchJson;
pub use procfile::procfile;
pub use systemd::systemd;

/// A stack in the format of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The files, at least one.
    pub files: Vec<ExportedFile>,
    /// What the format cannot say, and what is left to do.
    pub notes: ExportNotes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedFile {
    /// Its usual name.
    pub name: String,
    pub text: String,
}

impl Export {
    /// An export of one file, which starts with the notes as a comment.
    fn single(name: &str, body: &str, notes: ExportNotes) -> Export {
        let text = format!("{}\n{body}", notes.comment());
        Export { files: vec![ExportedFile { name: name.to_owned(), text }], notes }
    }
}
