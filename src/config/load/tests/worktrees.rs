//! Env files of the main git worktree.

use super::*;

const ENV_FILES: &str = "[services.api]\ncommand = 'a'\nenv_file = 'api.env'\nenv = { SEEN = '${FROM:-none} ${API:-none}' }\n";

/// A project in a linked worktree beside its main one, which has two files that git ignores.
fn linked(ignored: &str) -> Project {
    Project::new("")
        .file("main/.git/worktrees/linked/commondir", "../..\n")
        .file("main/.env", "FROM=main\n")
        .file("main/api.env", "API=main\n")
        .file("linked/.git", "gitdir: ../main/.git/worktrees/linked\n")
        .file("linked/.gitignore", ignored)
        .file("linked/devstack.toml", ENV_FILES)
        .with(|sources| sources.cwd.push("linked"))
}

fn seen(project: &Project) -> String {
    project.stack().services[&name("api")].launch.env["SEEN"].to_owned()
}

#[test]
fn an_ignored_env_file_that_is_missing_is_read_from_the_main_worktree() {
    let project = linked("*.env\n");
    assert_eq!(seen(&project), "main main");
    let config = project.draft();
    let main = fs::canonicalize(project.path("main")).unwrap();
    let [first, second] = [".env", "api.env"].map(|file| {
        let there = main.join(file);
        assert!(config.files().contains(&there), "changes are seen");
        assert!(config.files().contains(&project.path("linked").join(file)), "so is its creation");
        format!("`{file}` is missing in this git worktree; using `{}`", there.display())
    });
    let notes: Vec<&str> = config.notes().iter().map(|note| note.text.as_str()).collect();
    assert_eq!(notes, [first, second]);
    let explained = config.explain_env(&name("api"), &BTreeMap::new(), false, None);
    let [(VariableSource::ServiceFile(place), Some(value))] = explained["API"].as_slice() else {
        panic!("{explained:?}")
    };
    assert_eq!((value.as_str(), place.line, place.main_worktree), ("main", 1, true));
    assert_eq!(place.file, main.join("api.env").display().to_string());
}

#[test]
fn the_own_file_of_a_worktree_wins() {
    let project = linked("*.env\n").file("linked/.env", "FROM=here\n");
    assert_eq!(seen(&project), "here main");
    assert_eq!(project.draft().notes().len(), 1);
}

#[test]
fn a_file_that_git_does_not_ignore_is_missing() {
    let project = linked(".env\n");
    assert_eq!(
        project.mistakes(),
        ["devstack.toml:3:12: cannot read env file `api.env`: no such file"]
    );
    fs::remove_file(project.path("main/api.env")).unwrap();
    let project = project.file("linked/.gitignore", "*.env\n");
    assert_eq!(
        project.mistakes(),
        ["devstack.toml:3:12: cannot read env file `api.env`: no such file"]
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_of_another_user_is_refused_in_the_main_worktree_too() {
    use std::os::unix::fs::{MetadataExt, chown};
    let project = linked("*.env\n");
    let me = fs::metadata(project.path("main/.env")).unwrap().uid();
    // Only root can give files away.
    if chown(project.path("main/api.env"), Some(me + 4242), None).is_err() {
        return;
    }
    let project = project.with(|sources| sources.user = Some(me));
    let file = fs::canonicalize(project.path("main/api.env")).unwrap();
    let expected = format!(
        "devstack.toml:3:12: cannot read env file `{}`: it is owned by user {}, not by you or the owner of the configuration",
        file.display(),
        me + 4242
    );
    assert_eq!(project.mistakes(), [expected]);
}
