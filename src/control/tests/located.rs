//! Finding every stack of this user through the lock files.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::control::instance::UserDirs;
use crate::control::{CrashedInstance, InstanceLock, LocatedInstance, ProjectDir, StateDir};

struct Home {
    dir: TempDir,
    places: UserDirs,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        fs::create_dir(&run).unwrap();
        let state = Some(dir.path().join("state"));
        // `only`: stacks that run on this machine are not part of the test.
        let places = UserDirs::new(uid(), None, state, dir.path().to_owned())
            .with_only(run.join("devstack"));
        Home { dir, places }
    }

    fn runtime(&self) -> PathBuf {
        self.dir.path().join("run/devstack")
    }

    fn dir(&self, name: &str) -> PathBuf {
        let dir = self.dir.path().canonicalize().unwrap().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn claim(&self, dir: &Path) -> InstanceLock {
        InstanceLock::claim_in(&self.places, dir, "shop").unwrap()
    }

    fn dirs(&self) -> Vec<ProjectDir> {
        LocatedInstance::all_in(&self.places).into_iter().map(|one| one.dir).collect()
    }

    /// Leaves what a killed devstack leaves in a directory; returns its lock file.
    fn killed(&self, dir: &Path, token: Option<&str>) -> PathBuf {
        let instance = self.claim(dir);
        drop(instance.listen().unwrap());
        if let Some(token) = token {
            instance.record_token(token).unwrap();
        }
        let lock = instance.socket().with_extension("lock");
        let (status, socket) = (fs::read(&lock).unwrap(), instance.socket().to_owned());
        drop(instance);
        fs::write(&lock, status).unwrap();
        drop(std::os::unix::net::UnixListener::bind(socket).unwrap());
        lock
    }
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn a_directory_is_followed_while_a_stack_runs_in_it() {
    let home = Home::new();
    assert_eq!(home.dirs(), []);
    let (a, b, c) = (home.dir("a"), home.dir("b"), home.dir("c"));
    let instances = [&a, &b, &c].map(|dir| home.claim(dir));
    assert_eq!(home.dirs(), [a.clone(), b.clone(), c.clone()].map(ProjectDir::InPlace));
    let moved = home.dir.path().canonicalize().unwrap().join("z");
    fs::rename(&b, &moved).unwrap();
    fs::remove_dir_all(&c).unwrap();
    // A new directory at the same path is another project.
    fs::create_dir(&c).unwrap();
    let seen = home.dirs();
    let expected = match cfg!(target_os = "linux") {
        true => [ProjectDir::InPlace(a), ProjectDir::Deleted(c), ProjectDir::Moved(moved)],
        false => [ProjectDir::InPlace(a), ProjectDir::Missing(b), ProjectDir::Missing(c)],
    };
    assert_eq!(seen, expected);
    let pids =
        LocatedInstance::all_in(&home.places).into_iter().map(|one| one.found.holder.unwrap().pid);
    assert!(pids.eq([std::process::id(); 3]));
    drop(instances);
    assert_eq!(home.dirs(), []);
}

#[test]
fn the_number_of_a_deleted_directory_is_given_to_no_other() {
    let home = Home::new();
    let old = home.dir("old");
    let _instance = home.claim(&old);
    fs::remove_dir_all(&old).unwrap();
    for round in 0..50 {
        // Many file systems reuse free inode numbers at once.
        drop(home.claim(&home.dir(&format!("new{round}"))));
    }
}

#[test]
fn stacks_of_another_environment_are_found() {
    let home = Home::new();
    let (run, state) = (home.dir("login"), home.dir("state"));
    let desktop = UserDirs::new(uid(), Some(run), Some(state.clone()), home.dir.path().to_owned());
    let cron = UserDirs::new(uid(), None, Some(state), home.dir.path().to_owned());
    let (a, b) = (home.dir("a"), home.dir("b"));
    let _instances = [
        InstanceLock::claim_in(&desktop, &a, "shop").unwrap(),
        InstanceLock::claim_in(&cron, &b, "shop").unwrap(),
    ];
    // The user who runs this test may have stacks running.
    let seen: Vec<ProjectDir> =
        LocatedInstance::all_in(&desktop).into_iter().map(|one| one.dir).collect();
    for dir in [a, b] {
        assert!(seen.contains(&ProjectDir::InPlace(dir)), "{seen:?}");
    }
}

#[test]
fn what_is_no_lock_is_passed_over() {
    let home = Home::new();
    let project = home.dir("project");
    let instance = home.claim(&project);
    let runtime = home.runtime();
    let lock = instance.socket().with_extension("lock");
    fs::write(runtime.join("notes.lock"), "{}").unwrap();
    fs::write(runtime.join("0123456789abcde.lock"), "{}").unwrap();
    fs::write(runtime.join("0123456789abcdef.lock"), "\0{").unwrap();
    fs::create_dir(runtime.join("1123456789abcdef.lock")).unwrap();
    symlink(&lock, runtime.join("2123456789abcdef.lock")).unwrap();
    fs::hard_link(&lock, runtime.join("ffffffffffffffff.lock")).unwrap();
    crate::sys::fifo::make_fifo(&runtime.join("3123456789abcdef.lock"));
    assert_eq!(home.dirs(), [ProjectDir::InPlace(project)]);
    assert_eq!(CrashedInstance::all_in(&home.places).len(), 0);
    // A devstack that has taken its lock but not yet written its record.
    fs::write(&lock, "").unwrap();
    assert_eq!(home.dirs(), [ProjectDir::Unknown]);
}

#[test]
fn a_killed_one_is_settled_once_and_only_when_nothing_is_left() {
    let home = Home::new();
    let project = home.dir("project");
    let lock = home.killed(&project, Some("a mark of the killed one"));
    let abandoned = || CrashedInstance::all_in(&home.places);
    let [one] = &abandoned()[..] else { panic!("expected one crashed instance") };
    assert_eq!(one.dir, ProjectDir::InPlace(project.clone()));
    assert_eq!(one.holder.token.as_deref(), Some("a mark of the killed one"));
    assert!(one.socket.is_some());
    // During the cleanup, no devstack can start.
    one.clean_up(|| {
        assert!(InstanceLock::claim_in(&home.places, &project, "shop").is_err());
        false
    })
    .unwrap();
    assert_eq!(abandoned().len(), 1);
    let late = abandoned().remove(0);
    let mut cleared = 0;
    for _ in 0..2 {
        one.clean_up(|| {
            cleared += 1;
            true
        })
        .unwrap();
    }
    assert_eq!((cleared, abandoned().len()), (1, 0));
    assert!(lock.exists() && !lock.with_extension("sock").exists());
    // The devstack that runs there now is unaffected.
    let _instance = home.claim(&project);
    late.clean_up(|| panic!("a running stack must not be cleaned up")).unwrap();
}

#[test]
fn a_killed_one_without_its_directory_is_known_by_its_lock() {
    let home = Home::new();
    let project = home.dir("project");
    home.killed(&project, None);
    let id = crate::control::instance::directory_id(&project, uid()).unwrap();
    fs::remove_dir_all(&project).unwrap();
    let elsewhere = home.dir.path().join("state/devstack/projects").join(id);
    DirBuilder::new().recursive(true).mode(0o700).create(&elsewhere).unwrap();
    // The new directory at that path has its own state directory.
    DirBuilder::new().recursive(true).mode(0o700).create(project.join(".devstack")).unwrap();
    let [one] = &CrashedInstance::all_in(&home.places)[..] else {
        panic!("expected one crashed instance")
    };
    assert_eq!(one.dir, ProjectDir::Missing(project));
    assert_eq!(one.state_dir.as_ref().map(StateDir::path), Some(elsewhere.as_path()));
}

#[test]
fn a_directory_that_was_named_is_the_only_one() {
    let home = Home::new();
    assert_eq!(home.places.runtime_dirs(), Vec::<PathBuf>::new());
    assert_eq!(home.places.runtime_dir().unwrap(), home.runtime());
    assert_eq!(home.places.runtime_dirs(), [home.runtime()]);
    // Neither falls back to another directory nor depends on the current one.
    for bad in [home.dir.path().join("not/there"), "relative".into()] {
        let places = home.places.clone().with_only(bad);
        let why = places.runtime_dir().unwrap_err();
        assert!(why.help.contains("DEVSTACK_RUNTIME_DIR"), "{why:?}");
        assert_eq!(places.runtime_dirs(), Vec::<PathBuf>::new());
    }
}
