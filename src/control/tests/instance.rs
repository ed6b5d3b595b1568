//! One stack per directory, whatever its path.

use std::fs;
use std::io::BufRead;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use tempfile::TempDir;

use crate::control::instance::{ClaimError, InstanceLock, UserDirs, directory_id};
use crate::control::{AlreadyRunning, RunningInstance};

struct Home {
    dir: TempDir,
    places: UserDirs,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let runtime = dir.path().join("run");
        fs::create_dir(&runtime).unwrap();
        let state = dir.path().join("state");
        let places = UserDirs::new(uid(), Some(runtime), Some(state), dir.path().to_owned());
        Home { dir, places }
    }

    fn dir(&self, name: &str) -> PathBuf {
        let dir = self.dir.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn claim(&self, dir: &Path) -> Result<InstanceLock, ClaimError> {
        InstanceLock::claim_in(&self.places, dir, "shop")
    }

    fn find(&self, dir: &Path) -> Option<RunningInstance> {
        InstanceLock::find_in(&self.places, dir)
    }
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn is_busy(result: Result<InstanceLock, ClaimError>) -> bool {
    match result {
        Err(ClaimError::Busy(AlreadyRunning::Running(holder))) => {
            holder.pid == std::process::id() && holder.stack == "shop"
        }
        Err(ClaimError::Busy(_) | ClaimError::Failed(_)) | Ok(_) => false,
    }
}

#[test]
fn a_directory_has_one_devstack() {
    let home = Home::new();
    let project = home.dir("project");
    assert!(home.find(&project).is_none());
    let instance = home.claim(&project).unwrap();
    assert!(is_busy(home.claim(&project)));
    let found = home.find(&project).unwrap();
    assert_eq!(found.holder.as_ref().unwrap().pid, std::process::id());
    assert_eq!(found.socket, instance.socket());
    assert!(found.is_running());
    drop(instance);
    assert!(!found.is_running());
    found.wait_until_ended().unwrap();
    assert!(home.find(&project).is_none());
    home.claim(&project).unwrap();
}

#[test]
fn one_that_is_about_to_end_keeps_its_directory_until_it_has() {
    let home = Home::new();
    let project = home.dir("project");
    let instance = home.claim(&project).unwrap();
    let socket = instance.socket().to_owned();
    let _listener = instance.listen().unwrap();
    let found = home.find(&project).unwrap();
    instance.hold_until_exit();
    assert!(!socket.exists());
    assert!(found.is_running());
    assert!(matches!(home.claim(&project), Err(ClaimError::Busy(AlreadyRunning::Starting))));
}

#[test]
fn another_directory_is_another_stack() {
    let home = Home::new();
    let _one = home.claim(&home.dir("one")).unwrap();
    let _two = home.claim(&home.dir("two")).unwrap();
}

#[test]
fn of_twenty_claims_at_once_one_wins() {
    let home = Home::new();
    let project = home.dir("project");
    for _ in 0..20 {
        let start = Barrier::new(20);
        let results: Vec<_> = std::thread::scope(|scope| {
            let claim = || {
                start.wait();
                home.claim(&project)
            };
            let threads: Vec<_> = (0..20).map(|_| scope.spawn(claim)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(results.into_iter().filter_map(Result::err).count(), 19);
    }
}

#[test]
fn looking_does_not_keep_out() {
    let home = Home::new();
    let project = home.dir("project");
    drop(home.claim(&project).unwrap());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    home.find(&project);
                }
            });
        }
        let claims: Vec<bool> = (0..200).map(|_| home.claim(&project).is_ok()).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(claims.iter().all(|ok| *ok));
    });
}

#[test]
fn what_a_killed_devstack_left_heals() {
    let home = Home::new();
    let project = home.dir("project");
    let instance = home.claim(&project).unwrap();
    let socket = instance.socket().to_owned();
    drop(instance);
    // kill -9 leaves the socket and the record; the kernel releases the lock.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    fs::write(
        socket.with_extension("lock"),
        r#"{"pid":1,"stack":"old","dir":"/","since_ms":0,"devstack":"0"}"#,
    )
    .unwrap();
    assert!(home.find(&project).is_none());
    let instance = home.claim(&project).unwrap();
    let _listener = instance.listen().unwrap();
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    std::os::unix::net::UnixStream::connect(&socket).unwrap();
    assert_eq!(home.find(&project).unwrap().holder.unwrap().stack, "shop");
    drop(instance);
    assert!(!socket.exists());
}

/// Marks the test process that is to be killed, and names its directory.
const CHILD: &str = "DEVSTACK_TEST_CLAIM";

#[test]
fn a_devstack_that_is_killed_frees_its_directory() {
    if let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) {
        let places = UserDirs::new(uid(), None, None, dir.clone());
        let instance = InstanceLock::claim_in(&places, &dir, "killed").unwrap();
        let _listener = instance.listen().unwrap();
        eprintln!("claimed");
        // Until this process, or the test that started it, is killed.
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    let home = Home::new();
    let places = UserDirs::new(uid(), None, None, home.dir.path().to_owned());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "control::tests::instance::a_devstack_that_is_killed_frees_its_directory",
        ])
        .env(CHILD, home.dir.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let status = std::io::BufReader::new(child.stderr.take().unwrap());
    assert!(status.lines().any(|line| line.unwrap() == "claimed"));
    let found = InstanceLock::find_in(&places, home.dir.path()).unwrap();
    assert_eq!(found.holder.as_ref().unwrap().pid, child.id());
    let refused = InstanceLock::claim_in(&places, home.dir.path(), "next").unwrap_err();
    assert!(
        matches!(&refused, ClaimError::Busy(AlreadyRunning::Running(record)) if record.pid == child.id())
    );
    assert!(refused.message().text.contains("killed"));
    child.kill().unwrap();
    found.wait_until_ended().unwrap();
    assert!(found.socket.exists());
    let instance = InstanceLock::claim_in(&places, home.dir.path(), "next").unwrap();
    let _listener = instance.listen().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_lock_file_of_garbage_is_no_obstacle() {
    let home = Home::new();
    let project = home.dir("project");
    let instance = home.claim(&project).unwrap();
    let lock = instance.socket().with_extension("lock");
    fs::write(&lock, b"\0\xff{{{").unwrap();
    assert!(home.find(&project).unwrap().holder.is_none());
    let message = home.claim(&project).unwrap_err().message();
    assert_eq!(message.text, "a stack is starting or stopping in this directory");
    drop(instance);
    home.claim(&project).unwrap();
}

#[test]
fn a_project_is_the_directory_and_not_its_name() {
    let home = Home::new();
    let project = home.dir("project");
    let link = home.dir.path().join("link");
    symlink(&project, &link).unwrap();
    assert_eq!(directory_id(&project, 1).unwrap(), directory_id(&link, 1).unwrap());
    assert_ne!(directory_id(&project, 1).unwrap(), directory_id(&project, 2).unwrap());
    let _instance = home.claim(&link).unwrap();
    assert!(is_busy(home.claim(&project)));
    assert!(home.find(&link).is_some());
    // Moved while it runs: still the same project.
    let moved = home.dir.path().join("moved");
    fs::rename(&project, &moved).unwrap();
    assert!(is_busy(home.claim(&moved)));
    assert_eq!(home.find(&moved).unwrap().dir, fs::canonicalize(&moved).unwrap());
    // A new directory at the old path is another project.
    home.claim(&home.dir("project")).unwrap();
}

#[test]
fn a_deep_project_has_a_short_socket() {
    let home = Home::new();
    let mut project = home.dir("deep");
    while project.as_os_str().len() < 3_000 {
        project.push("a-folder-with-a-name-that-goes-on-for-a-while-as-they-do");
    }
    fs::create_dir_all(&project).unwrap();
    let instance = home.claim(&project).unwrap();
    let _listener = instance.listen().unwrap();
    assert!(instance.socket().as_os_str().len() <= 103);
    assert_eq!(home.find(&project).unwrap().dir, fs::canonicalize(&project).unwrap());
}

#[test]
fn a_long_runtime_directory_is_passed_over() {
    let home = Home::new();
    let long = home.dir(&"r".repeat(100));
    let temp = home.dir("temp");
    let places = UserDirs::new(uid(), Some(long), None, temp.clone());
    assert_eq!(places.runtime_dir().unwrap(), temp.join(format!("devstack-{}", uid())));
    let project = home.dir("project");
    InstanceLock::claim_in(&places, &project, "shop").unwrap().listen().unwrap();
}

#[test]
fn a_directory_that_others_can_enter_is_passed_over() {
    let home = Home::new();
    let (loose, linked, temp) = (home.dir("a/devstack"), home.dir("b"), home.dir("c"));
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(home.dir("elsewhere"), linked.join("devstack")).unwrap();
    let runtime = loose.parent().map(Path::to_owned);
    let places = UserDirs::new(uid(), runtime, Some(linked), temp.clone());
    assert_eq!(places.runtime_dir().unwrap().parent(), Some(temp.as_path()));
    let stranger = UserDirs::new(uid() + 1, Some(home.dir("d")), None, home.dir("e"));
    // Our directories are unusable for another user; `/tmp` only works if the name is not taken.
    assert!(stranger.runtime_dirs().iter().all(|dir| !dir.starts_with(home.dir.path())));
}

#[test]
fn another_environment_finds_the_same_stack() {
    let home = Home::new();
    let project = home.dir("project");
    let state = home.dir.path().join("state");
    let cron = UserDirs::new(uid(), None, Some(state.clone()), home.dir.path().to_owned());
    let instance = InstanceLock::claim_in(&cron, &project, "shop").unwrap();
    assert!(instance.socket().starts_with(&state));
    assert!(is_busy(home.claim(&project)));
    assert_eq!(home.find(&project).unwrap().socket, instance.socket());
}

/// Another home, and another runtime directory that is not among those of the first.
#[test]
fn a_directory_has_one_devstack_whatever_the_environment() {
    let (one, two) = (Home::new(), Home::new());
    let project = one.dir("project");
    let instance = one.claim(&project).unwrap();
    assert!(is_busy(two.claim(&project)));
    assert_eq!(two.find(&project).unwrap().socket, instance.socket());
    assert!(two.find(&project).unwrap().is_running());
    // A runtime directory of its own is out of reach, and keeps nothing apart here.
    let job = two.places.clone().with_only(two.dir("job"));
    fs::set_permissions(two.dir.path().join("job"), PermissionsExt::from_mode(0o700)).unwrap();
    let refused = InstanceLock::claim_in(&job, &project, "shop").unwrap_err();
    let ClaimError::Busy(busy @ AlreadyRunning::Elsewhere(Some(_))) = refused else {
        panic!("{refused:?}")
    };
    let runtime = instance.socket().parent().unwrap().display().to_string();
    let help = format!("stop it with `DEVSTACK_RUNTIME_DIR={runtime} devstack down`");
    assert_eq!(busy.message().help, help);
    assert!(InstanceLock::find_in(&job, &project).is_none());
    drop(instance);
    assert!(two.find(&project).is_none());
    assert_eq!(fs::read(project.join(".devstack/lock")).unwrap(), b"");
    two.claim(&project).unwrap();
}

/// What cannot be written is locked itself. For root a file stands where the directory should be.
#[test]
fn a_directory_that_cannot_be_written_has_one_devstack_too() {
    let (one, two) = (Home::new(), Home::new());
    let project = one.dir("project");
    fs::write(project.join(".devstack"), "").unwrap();
    let instance = one.claim(&project).unwrap();
    let refused = two.claim(&project).unwrap_err();
    assert_eq!(refused, ClaimError::Busy(AlreadyRunning::Elsewhere(None)));
    drop(instance);
    two.claim(&project).unwrap();
}

#[test]
fn a_stack_is_found_from_below_but_not_from_another_project() {
    let home = Home::new();
    let project = home.dir("project");
    let _instance = home.claim(&project).unwrap();
    let below = home.dir("project/src/deep");
    assert_eq!(home.find(&below).unwrap().dir, fs::canonicalize(&project).unwrap());
    fs::write(project.join("src/devstack.toml"), "").unwrap();
    assert!(home.find(&below).is_none());
    assert!(home.find(&project).is_some());
    assert!(home.find(&home.dir.path().join("not there")).is_none());
}

#[test]
fn a_directory_that_is_not_there_cannot_be_claimed() {
    let home = Home::new();
    assert!(matches!(home.claim(&home.dir.path().join("nowhere")), Err(ClaimError::Failed(_))));
}

#[test]
fn state_is_kept_beside_the_project() {
    let home = Home::new();
    let project = home.dir("project");
    assert_eq!(home.places.existing_state_dir(&project, "id"), None);
    let dir = home.places.state_dir(&project, "id").unwrap();
    assert_eq!(dir, project.join(".devstack"));
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(fs::read_to_string(dir.join(".gitignore")).unwrap(), "*\n");
    // Again, and after the mode was changed.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(home.places.state_dir(&project, "id").unwrap(), dir);
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(home.places.existing_state_dir(&project, "id"), Some(dir));
}

#[test]
fn state_does_not_follow_a_link_out_of_the_project() {
    let home = Home::new();
    let project = home.dir("project");
    let victim = home.dir("victim");
    symlink(&victim, project.join(".devstack")).unwrap();
    assert!(home.places.state_dir(&project, "id").is_err());
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
}

#[test]
fn a_read_only_project_keeps_its_state_elsewhere() {
    if rustix::process::geteuid().is_root() {
        // Nothing is read-only for root; a directory of another user has the same effect.
        let home = Home::new();
        let project = home.dir("project");
        fs::create_dir(project.join(".devstack")).unwrap();
        std::os::unix::fs::chown(project.join(".devstack"), Some(12_345), None).unwrap();
        let dir = home.places.state_dir(&project, "id").unwrap();
        assert_eq!(dir, home.dir.path().join("state/devstack/projects/id"));
        return;
    }
    let home = Home::new();
    let project = home.dir("project");
    fs::set_permissions(&project, fs::Permissions::from_mode(0o555)).unwrap();
    let dir = home.places.state_dir(&project, "id").unwrap();
    assert_eq!(dir, home.dir.path().join("state/devstack/projects/id"));
    assert_eq!(mode(&dir), 0o700);
}

#[test]
fn a_devstack_that_lost_its_lock_file_keeps_others_out() {
    let (home, other) = (Home::new(), Home::new());
    let project = home.dir("project");
    let instance = home.claim(&project).unwrap();
    let follow = instance.follower();
    let state = project.join(".devstack");
    fs::remove_dir_all(&state).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| other.claim(&project));
        // The other one is faster.
        while !state.join("lock").exists() && !second.is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(follow(&project), None);
        assert!(is_busy(second.join().unwrap()));
    });
    // It waits in vain for a program that is no devstack.
    drop(instance);
    let locked = fs::File::open(&project).unwrap();
    locked.lock().unwrap();
    let second = other.claim(&project).unwrap();
    assert!(is_busy(home.claim(&project)));
    drop(second);
    home.claim(&project).unwrap();
}

#[test]
fn a_lock_that_another_devstack_took_is_taken_back_once_that_has_ended() {
    let (home, other) = (Home::new(), Home::new());
    let project = home.dir("project");
    let instance = home.claim(&project).unwrap();
    let follow = instance.follower();
    fs::remove_dir_all(project.join(".devstack")).unwrap();
    let second = other.claim(&project).unwrap();
    let problem = follow(&project).unwrap();
    let text = "another stack started in this directory while .devstack was missing: shop (pid ";
    assert!(problem.text.starts_with(text), "{problem:?}");
    let socket = second.socket().parent().unwrap().to_str().unwrap();
    let command = format!("stop it with `DEVSTACK_RUNTIME_DIR={socket} devstack down`");
    assert!(problem.help.contains(&command), "{problem:?}");
    assert_eq!(follow(&project), None, "it is reported once");
    drop(second);
    assert_eq!(follow(&project), None);
    assert!(is_busy(other.claim(&project)));
}

#[test]
fn the_lock_is_taken_again_where_its_file_was_removed_or_replaced() {
    let (home, other) = (Home::new(), Home::new());
    let project = home.dir("project");
    let instance = home.claim(&project).unwrap();
    let follow = instance.follower();
    let state = project.join(".devstack");
    assert!(is_busy(other.claim(&project)));
    assert_eq!(follow(&project), None);
    fs::remove_dir_all(&state).unwrap();
    assert_eq!(follow(&project), None);
    assert!(is_busy(other.claim(&project)));
    assert_eq!(fs::read_to_string(state.join(".gitignore")).unwrap(), "*\n");
    // The project directory is locked while there cannot be a file.
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "").unwrap();
    assert_eq!(follow(&project), None);
    assert!(matches!(
        other.claim(&project),
        Err(ClaimError::Busy(AlreadyRunning::Elsewhere(None)))
    ));
    fs::remove_file(&state).unwrap();
    assert_eq!(follow(&project), None);
    assert!(is_busy(other.claim(&project)));
    // In another place, it is found there.
    let moved = home.dir.path().join("moved");
    fs::rename(&project, &moved).unwrap();
    assert_eq!(follow(&moved), None);
    let record = home.find(&moved).unwrap().holder.unwrap();
    assert_eq!(record.dir, moved.to_str().unwrap());
    assert!(is_busy(other.claim(&moved)));
}
