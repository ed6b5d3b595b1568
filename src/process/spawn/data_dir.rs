//! Where a preset keeps data. A repository can ship `.devstack/data` as a link to anything: a program
//! must not write there.

use std::path::{Component, Path};

use crate::model::{Message, MessageClass};
use crate::regular_file::require_own_dirs;

/// Where the `postgres` preset keeps data under root; it leaves a link to it.
pub(crate) const DATA_OF_ROOT: &str = "/var/lib/devstack/data";

/// Checks a directory below `.devstack/data`: what exists of it must be directories of this user.
/// One elsewhere was chosen by the user.
pub(crate) fn check_data_dir(dir: &Path) -> Result<(), Message> {
    let names: Vec<Component<'_>> = dir.components().collect();
    let is_state = |pair: &[Component<'_>]| {
        pair[0].as_os_str() == ".devstack" && pair[1].as_os_str() == "data"
    };
    let Some(at) = names.windows(2).rposition(is_state) else { return Ok(()) };
    let project: std::path::PathBuf = names[..at].iter().collect();
    let below = names[at..].iter().map(|name| name.as_os_str());
    let Err((path, what)) = require_own_dirs(&project, below) else { return Ok(()) };
    if path == dir && rustix::process::geteuid().is_root() && is_of_root(&path) {
        return Ok(());
    }
    let text = format!("{} {what}: data is kept only in directories of your own", path.display());
    let help = "remove it, or set DEVSTACK_DATA in `env` to the directory that you mean";
    Err(Message::new(MessageClass::Denied, text).help(help))
}

fn is_of_root(link: &Path) -> bool {
    let target = std::fs::read_link(link).unwrap_or_default();
    target.starts_with(DATA_OF_ROOT) && target.components().all(|part| part != Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_directories_hold_data() {
        let top = tempfile::tempdir().unwrap();
        let precious = top.path().join("precious");
        fs::create_dir_all(precious.join("data/db")).unwrap();
        fs::write(top.path().join("file"), "").unwrap();
        let project = |name: &str, make: &dyn Fn(&Path)| {
            let state = top.path().join(name).join(".devstack");
            fs::create_dir_all(state.parent().unwrap()).unwrap();
            make(&state);
            check_data_dir(&state.join("data/db")).map_err(|message| message.text)
        };
        assert_eq!(project("new", &|_| ()), Ok(()));
        assert_eq!(
            project("old", &|state| fs::create_dir_all(state.join("data/db")).unwrap()),
            Ok(())
        );
        let link = |to: &Path, from: &Path| {
            fs::create_dir_all(from.parent().unwrap()).unwrap();
            symlink(to, from).unwrap();
        };
        let refused = |name: &str, path: &str, what: &str| {
            let path = top.path().join(name).join(path);
            Err(format!("{} {what}: data is kept only in directories of your own", path.display()))
        };
        let to = format!("is a link to {}", precious.display());
        assert_eq!(project("a", &|state| link(&precious, state)), refused("a", ".devstack", &to));
        for (name, below) in [("b", "data"), ("c", "data/db")] {
            let path = format!(".devstack/{below}");
            assert_eq!(
                project(name, &|state| link(&precious, &state.join(below))),
                refused(name, &path, &to)
            );
        }
        let dangling = project("d", &|state| link(Path::new("gone"), &state.join("data")));
        assert_eq!(dangling, refused("d", ".devstack/data", "is a link to gone"));
        let file = project("e", &|state| {
            fs::create_dir(state).unwrap();
            fs::write(state.join("data"), "").unwrap();
        });
        assert_eq!(file, refused("e", ".devstack/data", "is not a directory"));
        // Outside, and above the project, links are the user's.
        symlink(top.path(), top.path().join("up")).unwrap();
        assert_eq!(check_data_dir(&top.path().join("up/new/.devstack/data/db")), Ok(()));
        symlink(&precious, top.path().join("mine")).unwrap();
        assert_eq!(check_data_dir(&top.path().join("mine")), Ok(()));
    }
}
