//! `devstack data`: what stacks keep, and what is left of stacks whose directory is gone.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{TestProject, idler};

/// Starts and stops a stack in a directory of the home.
fn run_once(project: &TestProject, name: &str) -> PathBuf {
    let dir = project.outside("home").join(name);
    project.write(dir.join("devstack.toml"), &idler("db", ""));
    project.devstack(["run", "--", "true"]).dir(&dir).run().expect_code(0);
    dir
}

/// Moves the state of a project to where it is for one that cannot be written. The only record is of this project.
fn keep_elsewhere(project: &TestProject) -> PathBuf {
    let projects = project.outside("state").join("devstack/projects");
    let [record] = entries(&projects).try_into().expect("one record");
    let dir = record.with_extension("");
    fs::DirBuilder::new().mode(0o700).create(&dir).expect("it is new");
    fs::write(dir.join("ports.json"), "{}").expect("it is ours");
    dir
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Where PostgreSQL under root keeps data: also that of other tests, of which this user knows no project.
const OF_ROOT: &str = "/var/lib/devstack/data";

fn data(project: &TestProject, args: &[&str]) -> Value {
    let answer = project.devstack(["data"]).args(args).args(["--json"]).run().expect_code(0).json();
    assert_eq!(answer["version"], 1);
    let of_others =
        |data: &Value| data["path"].as_str().is_some_and(|path| path.starts_with(OF_ROOT));
    let all = answer["data"].as_array().expect("a list");
    all.iter().filter(|data| !of_others(data)).cloned().collect()
}

#[test]
fn only_what_is_left_of_a_deleted_project_is_removed() {
    let project = TestProject::new();
    let gone = run_once(&project, "gone");
    let left = keep_elsewhere(&project);
    let precious = project.write(project.outside("home").join("precious/file"), "x");
    symlink(precious.parent().expect("a parent"), left.join("link")).expect("it is new");
    let here = run_once(&project, "here");
    let kept = project.write(here.join(".devstack/data/db/base"), "12345");
    fs::remove_dir_all(&gone).expect("it can be deleted");

    let all = data(&project, &["list"]);
    let state = |at: usize| (&all[at]["stack"], &all[at]["state"]);
    assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
    assert_eq!(state(0), (&json!("gone"), &json!("gone")));
    assert_eq!(state(1), (&json!("here"), &json!("stopped")));
    assert_eq!(all[0]["path"], left.display().to_string());
    assert_eq!(all[1]["bytes"], 5);

    let table = project.devstack(["data", "list"]).run().expect_code(0).stdout;
    assert!(table.starts_with("STACK   DIRECTORY   STATE "), "{table}");
    assert!(table.contains("~/here"), "{table}");

    // Without a terminal nothing is removed unasked.
    let ended = project.devstack(["data", "gc"]).run().expect_code(2);
    assert!(ended.stderr.contains("use `devstack data gc --yes`"), "{ended:?}");
    assert!(left.exists());
    let removed = data(&project, &["gc", "--yes"]);
    assert_eq!((removed.as_array().map(Vec::len), &removed[0]["removed"]), (Some(1), &json!(true)));
    assert!(!left.exists() && kept.exists() && precious.exists());
    let ended = project.devstack(["data", "gc"]).run().expect_code(0);
    assert!(ended.stderr.starts_with("nothing to remove"), "{ended:?}");
    assert_eq!(data(&project, &["list"]).as_array().map(Vec::len), Some(1));
    project.finish();
}

/// What `data list` says of the only data: state, directory and reason. `gc` keeps it.
#[track_caller]
fn kept(project: &TestProject, left: &Path) -> (String, PathBuf, String) {
    let all = data(project, &["list"]);
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    assert_eq!(data(project, &["gc", "--yes"]), json!([]));
    assert!(left.exists());
    let text = |key: &str| all[0][key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("dir").into(), text("reason"))
}

#[test]
fn data_follows_a_project_that_is_moved_while_it_runs() {
    let project = TestProject::new();
    let [from, to] = ["shop", "far/away"].map(|name| project.outside("home").join(name));
    project.write(from.join("devstack.toml"), &idler("db", ""));
    fs::create_dir(to.parent().expect("a parent")).expect("it is new");
    let up = project.devstack(["up"]).dir(&from).start();
    up.wait_for("is up");
    let left = keep_elsewhere(&project);
    fs::rename(&from, &to).expect("it is free");
    up.wait_for(&format!("the project directory is now {}", to.display()));
    project.devstack(["down"]).dir(&to).run().expect_code(0);
    up.wait_exit();
    assert_eq!(kept(&project, &left), ("stopped".to_owned(), to, String::new()));
    project.finish();
}

#[test]
fn data_of_a_project_that_is_moved_while_it_is_stopped_is_kept() {
    let project = TestProject::new();
    let from = run_once(&project, "code/shop");
    let left = keep_elsewhere(&project);
    let home = project.outside("home");
    let rename = |from: &str, to: &str| fs::rename(home.join(from), home.join(to)).expect("free");
    let moved = |to: &str| {
        let reason = format!("its directory was moved to {}", home.join(to).display());
        ("unclear".to_owned(), from.clone(), reason)
    };
    rename("code/shop", "code/shop2");
    assert_eq!(kept(&project, &left), moved("code/shop2"));
    let table = project.devstack(["data", "list"]).run().expect_code(0).stdout;
    assert!(table.contains("its directory was moved to ~/code/shop2; `devstack data gc` keeps it"));
    rename("code/shop2", "code/shop");
    rename("code", "work");
    assert_eq!(kept(&project, &left), moved("work/shop"));
    let now = run_once(&project, "work/shop");
    assert_eq!(kept(&project, &left), ("stopped".to_owned(), now, String::new()));
    fs::remove_dir_all(home.join("work")).expect("it can be deleted");
    let (state, _, reason) = kept(&project, &left);
    assert_eq!(state, "unclear", "with the directory above, it may be on a disk that is unplugged");
    assert!(reason.starts_with("it may have been moved"), "{reason}");
    project.finish();
}

#[test]
fn a_terminal_is_asked_first() {
    let project = TestProject::new();
    let gone = run_once(&project, "gone");
    let left = keep_elsewhere(&project);
    fs::remove_dir_all(&gone).expect("it can be deleted");
    for (answer, code) in [("n\n", 1), ("yes\n", 0)] {
        let gc = project.devstack(["data", "gc"]).terminal(24, 100).start();
        gc.wait_for("remove this data?");
        gc.write(answer.as_bytes());
        assert_eq!(gc.wait_code(), code);
        assert_eq!(left.exists(), code == 1);
    }
    project.finish();
}

#[test]
fn without_data_there_is_nothing_to_list() {
    let project = TestProject::new();
    assert_eq!(data(&project, &["list"]), json!([]));
    let ended = project.devstack(["data", "list"]).run().expect_code(0);
    if !ended.stdout.contains(OF_ROOT) {
        assert_eq!((&*ended.stdout, &*ended.stderr), ("", "no stack of this user keeps data\n"));
    }
    assert_eq!(data(&project, &["gc"]), json!([]));
    assert!(entries(&project.outside("state")).is_empty(), "looking makes no directories");
    project.finish();
}
