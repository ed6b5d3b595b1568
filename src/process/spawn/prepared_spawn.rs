use std::ffi::OsStr;
use std::path::PathBuf;

use super::data_dir::check_data_dir;
use super::inherited_env::InheritedEnv;
use super::listen_fds::{ListenFd, listen_variables};
use super::program_lookup::{ProgramError, find_program};
use super::{argv, spawn_errors, spawn_request};
use crate::model::{LaunchConfig, Message, RequiredPrograms};

/// A launch that is ready for the guard.
pub(crate) struct PreparedSpawn {
    pub parcel: Vec<u8>,
    /// The file that is executed, for messages.
    pub program: PathBuf,
    /// The working directory, for messages.
    pub dir: PathBuf,
}

/// Finds argv, program and environment of a launch, or returns why it cannot start.
pub(crate) fn prepare(
    launch: &LaunchConfig,
    environment: &InheritedEnv,
    terminal: bool,
    handed: &[ListenFd],
) -> Result<PreparedSpawn, Message> {
    let dir = &launch.dir;
    let words = argv::argv(&launch.command).ok_or_else(spawn_errors::no_command)?;
    if let Some((before, _)) = words[0].split_once('\0') {
        return Err(spawn_errors::contains_nul(before));
    }
    let mut env = environment.complete(&launch.env, dir, terminal);
    let sockets = listen_variables(handed);
    env.extend(sockets.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(value))));
    let path = env.get(OsStr::new("PATH")).copied();
    // If the directory is missing, nothing in it is found: report the directory then.
    let no_program = |word: &str, no: &ProgramError| {
        check_dir(launch).unwrap_or_else(|| spawn_errors::no_program(word, dir, no))
    };
    if let Some(RequiredPrograms { programs, install }) = &launch.requires {
        for word in programs {
            find_program(word, dir, path)
                .map_err(|no| spawn_errors::not_installed(no_program(word, &no), install))?;
        }
    }
    if let Some(word) = argv::only_program(&launch.command) {
        find_program(word, dir, path).map_err(|no| no_program(word, &no))?;
    }
    let program = find_program(&words[0], dir, path).map_err(|no| no_program(&words[0], &no))?;
    launch.data_dir().map_or(Ok(()), check_data_dir)?;
    let vars: Vec<(&OsStr, &OsStr)> = env.into_iter().collect();
    let parcel = spawn_request::encode(dir, &program, &words, &vars)?;
    Ok(PreparedSpawn { parcel, program, dir: dir.clone() })
}

/// Returns why this launch could not start, without trying. Only reads the file system.
pub fn check_launch(launch: &LaunchConfig) -> Option<Message> {
    if launch.container.is_some() {
        // Only its engine knows more.
        return check_dir(launch);
    }
    check_dir(launch).or_else(|| prepare(launch, &InheritedEnv::current(), false, &[]).err())
}

fn check_dir(launch: &LaunchConfig) -> Option<Message> {
    match launch.dir.metadata() {
        Ok(facts) if facts.is_dir() => None,
        Ok(_) => Some(spawn_errors::no_dir(&launch.dir, &std::io::ErrorKind::NotADirectory.into())),
        Err(error) => Some(spawn_errors::no_dir(&launch.dir, &error)),
    }
}
