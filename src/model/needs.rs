/// Programs that a command requires besides its first word, and how to install them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredPrograms {
    /// Names to look up on `PATH`, or paths relative to the service's directory.
    pub programs: Vec<String>,
    /// What to install, as a phrase.
    pub install: String,
}
