//! What can be watched, and what happens where something cannot.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::change::{end, save, starts, watching};
use crate::support::{
    MarkerLog, RunningProgram, Signal, TestProject, eventually, require, user_namespaces,
};

/// How many directories the kernel watches for a process.
fn watches(up: &RunningProgram) -> usize {
    let fds = fs::read_dir(format!("/proc/{}/fdinfo", up.pid())).expect("it runs").flatten();
    let infos = fds.filter_map(|fd| fs::read_to_string(fd.path()).ok());
    infos.map(|info| info.lines().filter(|line| line.starts_with("inotify ")).count()).sum()
}

#[test]
fn ignored_trees_are_not_watched() {
    if !require("/proc", cfg!(target_os = "linux")) {
        return;
    }
    let project = TestProject::new();
    watching(&project, "watch = true");
    project.write(".gitignore", "generated/\n");
    for top in ["node_modules", "target", ".hg", "generated", "sub/node_modules", "__pycache__"] {
        for number in 0..50 {
            project.write(format!("src/{top}/p{number}/lib/index.js"), "1");
        }
    }
    project.write("src/sub/a.py", "1");
    let up = project.up();
    save(&project, "src/sub/a.py", "2");
    starts(&project, 2);
    // The project directory, `.devstack` with the lock, `src` and `src/sub`.
    assert_eq!(watches(&up), 4);
    for top in ["node_modules/p1", "target", "generated/new", "sub/node_modules/p3/lib"] {
        save(&project, &format!("src/{top}/new.js"), "2");
    }
    save(&project, "src/app.py", "2");
    starts(&project, 3);
    end(project, &up, 3);
}

#[test]
fn output_of_devstack_in_a_watched_directory_is_no_change() {
    let project = TestProject::new();
    watching(&project, "watch = true");
    let devstack = env!("CARGO_BIN_EXE_devstack");
    let script = "exec \"$0\" up > src/out.txt 2> src/err.txt";
    let up = project.program("/bin/sh").args(["-c", script, devstack]).start();
    starts(&project, 1);
    for number in 2..=4 {
        // Each restart prints into the files.
        save(&project, "src/app.py", &number.to_string());
        starts(&project, number);
    }
    assert!(project.read("src/out.txt").contains("restarting: src/app.py changed"));
    end(project, &up, 4);
}

/// What `up -d` and clients print is no change either, and neither is their last line.
#[test]
fn output_of_clients_in_a_watched_directory_is_no_change() {
    let project = TestProject::new();
    watching(&project, "watch = true");
    // Not created later: that would be a change by the shell.
    project.write("src/log.txt", "");
    project.write("src/restart.txt", "");
    let shell =
        |script| project.program("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
    shell("exec \"$0\" up -d > src/up.txt 2>&1").run().expect_code(0);
    starts(&project, 1);
    let log = shell("exec \"$0\" logs -f > src/log.txt 2>&1").start();
    for number in 2..=3 {
        save(&project, "src/app.py", &number.to_string());
        starts(&project, number);
    }
    shell("exec \"$0\" restart api >> src/restart.txt 2>&1").run().expect_code(0);
    starts(&project, 4);
    eventually("the log has the restarts", || {
        let log = project.read("src/log.txt");
        let restarts = log.matches("api * restarting").count();
        (restarts >= 3).then_some(())
    });
    log.signal(Signal::INT);
    log.wait_exit();
    // A restart for any of these files would come before this one.
    save(&project, "src/app.py", "4");
    starts(&project, 5);
    let said = project.devstack(["logs", "--said"]).run().expect_code(0);
    assert!(!said.stdout.contains(".txt changed"), "{said:?}");
    project.devstack(["down"]).run().expect_code(0);
    assert_eq!(MarkerLog::read(&project.path("markers")).count("start", "api"), 5);
    for file in ["src/up.txt", "src/log.txt", "src/restart.txt"] {
        assert!(!project.read(file).is_empty(), "{file}");
    }
    project.finish();
}

#[test]
fn an_unreadable_directory_is_reported_once_and_does_no_harm() {
    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let project = TestProject::new();
    watching(&project, "watch = true");
    let secret = project.path("src/secret");
    fs::create_dir(&secret).expect("it is new");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("it is ours");
    // Without a mapping no user is root.
    let devstack = env!("CARGO_BIN_EXE_devstack");
    let up = project.program("unshare").args(["-U", "--", devstack, "up"]).start();
    up.wait_for("src/secret; changes in it will be missed");
    save(&project, "src/app.py", "2");
    starts(&project, 2);
    assert_eq!(
        up.lines().iter().filter(|line| line.contains("changes in it will be missed")).count(),
        1
    );
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o700)).expect("it is ours");
    end(project, &up, 2);
}

/// Runs the stack where the system allows so few of something.
fn scarce(limit: &str, allowed: u32, said: &str, help: &str) {
    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let project = TestProject::new();
    watching(&project, "watch = true");
    project.write("src/deep/er/a.py", "1");
    let script = format!("echo {allowed} > /proc/sys/user/{limit} && exec \"$0\" up");
    let devstack = env!("CARGO_BIN_EXE_devstack");
    let up = project.program("unshare").args(["-Ur", "sh", "-c", &script, devstack]).start();
    up.wait_for("is up");
    up.wait_for(said);
    up.wait_for(help);
    for (at, file) in ["src/app.py", "src/deep/er/a.py", "src/deep/new.py"].iter().enumerate() {
        save(&project, file, "2");
        up.wait_for(&format!("api * restarting: {file} changed"));
        starts(&project, at + 2);
    }
    let count = up.lines().iter().filter(|line| line.contains("can watch only ")).count();
    assert_eq!(count, 1, "{:?}", up.lines());
    end(project, &up, 4);
}

#[test]
fn out_of_watches_the_others_are_polled() {
    let said = "can watch only 2 of 5 directories (inotify watch limit reached)";
    scarce("max_inotify_watches", 2, said, "sysctl fs.inotify.max_user_watches=");
}

#[test]
fn out_of_watchers_all_is_polled() {
    let said = "can watch only 0 of 5 directories (watcher or open file limit reached)";
    scarce("max_inotify_instances", 0, said, "fs.inotify.max_user_instances=");
}

#[test]
fn polling_can_be_asked_for() {
    let project = TestProject::new();
    watching(&project, "watch = { paths = [\"*.py\"], poll = \"100ms\" }");
    let up = project.up();
    for number in 2..=4 {
        save(&project, "src/app.py", &number.to_string());
        starts(&project, number);
    }
    end(project, &up, 4);
}

#[test]
fn polling_is_not_too_often() {
    let project = TestProject::new();
    watching(&project, "watch = { poll = \"1ms\" }");
    let ended = project.devstack(["check"]).run().expect_code(2);
    assert!(ended.stderr.contains("`poll` must be at least 100ms"), "{}", ended.stderr);
    project.finish();
}

/// An overlay reports no changes in the directories below it.
#[test]
fn directories_that_others_change_unseen_are_polled_and_said_once() {
    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let project = TestProject::new();
    watching(&project, "watch = [\"**/*.py\"]");
    project.write("lower/deep/a.py", "1");
    for dir in ["upper", "work", "src/over"] {
        fs::create_dir(project.path(dir)).expect("it is new");
    }
    let script = r#"
        mount -t overlay over -o lowerdir=lower,upperdir=upper,workdir=work src/over || exit 9
        exec "$0" up
    "#;
    let devstack = env!("CARGO_BIN_EXE_devstack");
    let up = project.program("unshare").args(["-Urm", "sh", "-c", script, devstack]).start();
    up.wait_for("src/over may change without notification (overlay)");
    up.wait_for("is up");
    // Nothing reads it through the overlay after this.
    project.write("lower/deep/a.py", "changed below");
    up.wait_for("api * restarting: src/over/deep/a.py changed");
    starts(&project, 2);
    save(&project, "src/app.py", "2");
    starts(&project, 3);
    assert_eq!(
        up.lines().iter().filter(|line| line.contains("may change without notification")).count(),
        1
    );
    end(project, &up, 3);
}

/// A shell in a mount namespace, in which the stack runs, and which executes commands.
const SHELL: &str = r#"
    mount -t tmpfs one src/data && mkdir src/data/sub && echo 1 > src/data/sub/a.py
    "$0" up &
    while read -r line; do eval "$line"; done
    kill -INT $!
    wait $!
"#;

#[test]
fn what_is_mounted_below_is_watched_when_it_goes_and_comes_back() {
    if !require("user namespaces", user_namespaces()) {
        return;
    }
    let project = TestProject::new();
    watching(&project, "watch = true");
    fs::create_dir(project.path("src/data")).expect("it is new");
    let devstack = env!("CARGO_BIN_EXE_devstack");
    let args = ["-Urm", "--propagation", "private", "sh", "-c", SHELL, devstack];
    let up = project.program("unshare").args(args).stdin().start();
    up.wait_for("is up");
    let steps = [
        ("echo 2 > src/data/sub/a.py", "src/data/sub/a.py"),
        ("umount src/data", "src/data/sub/a.py"),
        ("echo 3 > src/data/under.py", "src/data/under.py"),
        (
            "mount -t tmpfs two src/data && mkdir src/data/sub && echo 4 > src/data/sub/a.py",
            "src/data/",
        ),
        ("echo 5 > src/data/sub/a.py", "src/data/sub/a.py"),
    ];
    for (step, file) in steps {
        let here = up.here();
        let at = crate::support::MarkerLog::read(&project.path("markers")).count("start", "api");
        up.write(format!("{step}\n").as_bytes());
        up.wait_since(here, &format!("api * restarting: {file}"));
        starts(&project, at + 1);
    }
    up.close_stdin();
    up.wait_exit();
    crate::support::MarkerLog::read(&project.path("markers")).assert_no_overlap();
    project.finish();
}

#[test]
fn a_missing_directory_is_reported_and_watched_once_it_exists() {
    let project = TestProject::new();
    watching(&project, "watch = [\"gen/**/*.py\"]");
    let up = project.devstack(["up"]).start();
    up.wait_for("api cannot watch ");
    fs::create_dir_all(project.path("src/gen/deep")).expect("it is new");
    save(&project, "src/gen/deep/a.py", "1");
    up.wait_for("api * restarting: src/gen/deep/a.py changed");
    starts(&project, 2);
    save(&project, "src/gen/deep/a.py", "2");
    starts(&project, 3);
    end(project, &up, 3);
}

#[test]
fn a_release_is_swapped_by_its_link() {
    let project = TestProject::new();
    project.write("releases/1/app.py", "1");
    project.write("releases/2/app.py", "2");
    symlink("releases/1", project.path("current")).expect("it is new");
    project.configure(
        r#"
        [services.api]
        dir = "current"
        command = ["sh", "-c", "echo this is $(cat app.py); exec {misbehave} marker ../../markers"]
        watch = true
        "#,
    );
    let up = project.devstack(["up"]).start();
    starts(&project, 1);
    up.wait_for("is up");
    symlink("releases/2", project.path("next")).expect("it is new");
    fs::rename(project.path("next"), project.path("current")).expect("both are there");
    starts(&project, 2);
    up.wait_for("this is 2");
    save(&project, "releases/2/app.py", "3");
    starts(&project, 3);
    up.wait_for("this is 3");
    save(&project, "releases/1/app.py", "unseen");
    save(&project, "releases/2/app.py", "4");
    starts(&project, 4);
    up.wait_for("this is 4");
    end(project, &up, 4);
}

#[test]
fn names_that_are_no_text_are_shown_so_that_they_harm_no_terminal() {
    use std::os::unix::ffi::OsStrExt;
    let project = TestProject::new();
    watching(&project, "watch = true");
    let up = project.up();
    let name = std::ffi::OsStr::from_bytes(b"src/odd\n\x1b[31m\xff.py");
    save_odd(&project, name);
    up.wait_for("api * restarting: ");
    starts(&project, 2);
    let line = up.wait_line(|line| line.contains("api * restarting: "));
    assert!(line.contains(".py") && !line.contains('\x1b'), "{line:?}");
    end(project, &up, 2);
}

fn save_odd(project: &TestProject, name: &std::ffi::OsStr) {
    let draft = project.outside("tmp").join("draft");
    fs::write(&draft, "1").expect("it is ours");
    fs::rename(draft, project.path(name)).expect("both are there");
}
