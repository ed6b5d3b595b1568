use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::model::Launch;

/// Where `program` is for a service: as it would find it itself. A bare name is searched in its own `PATH`.
pub(super) fn locate(program: &str, launch: &Launch) -> PathBuf {
    if program.contains('/') {
        return launch.dir.join(program);
    }
    let own = launch.env.get("PATH").map(OsString::from);
    let path = own.or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let candidates = std::env::split_paths(&path).map(|dir| launch.dir.join(dir).join(program));
    // Not found: the spawn then says so.
    candidates.into_iter().find(|file| is_program(file)).unwrap_or_else(|| program.into())
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
