/// Programs that a command needs beside its first word, and how to get them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Names to be found on the PATH, or paths from the service's folder.
    pub programs: Vec<String>,
    /// What to install, as a phrase.
    pub install: String,
}
