use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More is of no use, and macOS rejects more.
const MAX_OPEN_FILES: u64 = 10_240;

/// Raises the soft limit of open files of this process: each run takes several, so the usual limit
/// of 1024 is reached with 300 services. Returns the limit before.
pub(crate) fn raise_open_files() -> Rlimit {
    let before = getrlimit(Resource::Nofile);
    let Rlimit { current, maximum } = before;
    let wanted = maximum.map_or(MAX_OPEN_FILES, |m| m.min(MAX_OPEN_FILES));
    if current.is_some_and(|c| c < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::debug!("cannot raise the open file limit: {error}");
    }
    before
}
