//! `devstack agents init`: makes a project known to coding agents, in files that other tools also
//! write. Existing content is kept; each file is replaced as a whole or not at all.

mod agents_md;
mod json_files;

use std::path::Path;

use crate::model::{Message, Name};
use crate::project_file::ProjectFile;

/// What the files say about a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentsSetup {
    /// The name of the stack.
    pub stack: String,
    /// Its services, in the order in which they are listed.
    pub services: Vec<Name>,
    /// The main port of the primary service, if it has one.
    pub port: Option<u16>,
    /// Arguments of this program before its commands: `-f FILE`.
    pub arguments: Vec<String>,
}

/// Reads the files of the project in `dir` and merges the setup into them. Writes nothing.
///
/// # Errors
/// A file cannot be read, leads out of the project, or is not what its name says.
pub fn merged_files(dir: &Path, setup: &AgentsSetup) -> Result<Vec<ProjectFile>, Message> {
    let mut files = vec![
        ProjectFile::merge(dir, ".mcp.json", |text| json_files::merge_servers(text, setup))?,
        ProjectFile::merge(dir, "AGENTS.md", |text| agents_md::merge_section(text, setup))?,
    ];
    if setup.port.is_some() {
        let launch = ".claude/launch.json";
        files.push(ProjectFile::merge(dir, launch, |text| json_files::merge_launch(text, setup))?);
    }
    Ok(files)
}
