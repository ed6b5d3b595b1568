//! Sources that change: one save is one restart, and what is no change is none.

use std::fs;

use crate::support::{MarkerLog, RunningProgram, TestProject, service};

/// A stack of one service, `api`, in the directory `src`, with these keys. It leaves its traces beside it.
pub fn watching(project: &TestProject, keys: &str) {
    project.write("src/app.py", "1");
    project.configure(&format!(
            "[services.api]\ndir = \"src\"\ncommand = [\"{{misbehave}}\", \"marker\", \"../markers\"]\nready = {{ log = \"^ready\" }}\n{keys}\n"
        ));
}

/// Saves at one instant: what a test counts must not depend on how fast it writes.
pub fn save(project: &TestProject, file: &str, text: &str) {
    let draft = project.outside("tmp").join("draft");
    fs::write(&draft, text).expect("it is ours");
    let path = project.path(file);
    fs::create_dir_all(path.parent().expect("it is below the project")).expect("it is ours");
    fs::rename(draft, path).expect("both are there");
}

#[track_caller]
pub fn starts(project: &TestProject, count: usize) {
    MarkerLog::wait_starts(&project.path("markers"), "api", count);
}

/// Ends the stack. So often did the service start, never beside another copy.
#[track_caller]
pub fn end(project: TestProject, up: &RunningProgram, count: usize) {
    up.end();
    let markers = MarkerLog::read(&project.path("markers"));
    assert_eq!(markers.count("start", "api"), count, "{:?}", up.lines());
    markers.assert_no_overlap();
    project.finish();
}

/// Starts the stack and saves files, one by one, each of which must be exactly one restart.
#[track_caller]
fn saves(project: TestProject, files: &[&str]) {
    let up = project.up();
    for (at, file) in files.iter().enumerate() {
        let here = up.here();
        save(&project, file, "2");
        up.wait_since(here, &format!("api * restarting: {file} changed"));
        starts(&project, at + 2);
    }
    end(project, &up, files.len() + 1);
}

#[test]
fn one_save_is_one_restart() {
    let project = TestProject::new();
    watching(&project, "watch = true");
    saves(project, &["src/app.py", "src/deep/er/new.txt", "src/other"]);
}

#[test]
fn globs_say_what_counts() {
    let project = TestProject::new();
    watching(&project, r#"watch = ["**/*.py", "../shared/*.json", "!tests/**"]"#);
    project.write("shared/a.json", "1");
    saves(project, &["src/app.py", "src/deep/new.py", "shared/a.json"]);
}

#[test]
fn a_table_says_what_counts() {
    let project = TestProject::new();
    watching(
        &project,
        r#"watch = { paths = ["*.py"], ignore = ["generated.py"], settle = "20ms" }"#,
    );
    saves(project, &["src/app.py", "src/new.py"]);
}

/// Starts the stack, does what is no change, then what is one; only that restarts the service.
#[track_caller]
fn is_none(project: TestProject, change: impl FnOnce(&TestProject)) {
    let up = project.up();
    change(&project);
    save(&project, "src/app.py", "a change");
    up.wait_for("api * restarting: src/app.py changed");
    starts(&project, 2);
    end(project, &up, 2);
}

#[test]
fn what_does_not_count_is_no_change() {
    let project = TestProject::new();
    let keys = r#"watch = ["**/*.py", "!tests/**"]"#;
    watching(&project, keys);
    is_none(project, |project| {
        project.write("src/readme.md", "1");
        project.write("src/tests/test.py", "1");
        project.write("outside.py", "1");
    });
    let project = TestProject::new();
    watching(&project, r#"watch = { paths = ["*.py"], ignore = ["generated.py"] }"#);
    is_none(project, |project| drop(project.write("src/generated.py", "1")));
}

#[test]
fn the_same_bytes_are_no_change() {
    let project = TestProject::new();
    watching(&project, "watch = true");
    is_none(project, |project| {
        project.write("src/app.py", "1");
        // As editors do that write another file and rename it.
        let draft = project.write("draft", "1");
        fs::rename(draft, project.path("src/app.py")).expect("both are there");
        project.read("src/app.py");
    });
}

/// What files contain is known before the first second is over.
#[test]
fn the_same_bytes_right_after_the_start_are_no_change() {
    let project = TestProject::new();
    watching(&project, "watch = true");
    let up = project.up();
    // Once the first file is seen, the others are known.
    save(&project, "src/first", "1");
    up.wait_for("api * restarting: src/first changed");
    starts(&project, 2);
    project.wait_ps(|ps| service(ps, "api")["phase"] == "ready");
    let here = up.here();
    save(&project, "src/app.py", "1");
    save(&project, "src/last", "1");
    up.wait_since(here, "api * restarting: src/last changed");
    starts(&project, 3);
    end(project, &up, 3);
}

#[test]
fn what_git_ignores_is_no_change() {
    let project = TestProject::new();
    watching(&project, "watch = true");
    fs::create_dir(project.path(".git")).expect("the project is new");
    project.write(".gitignore", "*.log\nbuild/\n");
    project.write("src/.gitignore", "cache\n");
    is_none(project, |project| {
        project.write("src/a.log", "1");
        project.write("src/build/out", "1");
        project.write("src/cache/x", "1");
        project.write("src/node_modules/x/index.js", "1");
        project.write("src/__pycache__/app.pyc", "1");
        project.write("src/.hg/index", "1");
    });
}

#[test]
fn every_way_to_save_is_seen() {
    let project = TestProject::new();
    watching(&project, "watch = true");
    let up = project.up();
    let file = project.path("src/app.py");
    let ways: [(usize, &dyn Fn()); 4] = [
        // vim: the old file goes aside, a new one comes, the old one goes.
        (3, &|| {
            let aside = project.path("src/app.py~");
            fs::rename(&file, &aside).expect("it is there");
            fs::write(&file, "by vim").expect("it is ours");
            fs::remove_file(&aside).expect("it is there");
        }),
        (2, &|| {
            let draft = project.write("src/.draft", "by rename");
            fs::rename(draft, &file).expect("both are there");
        }),
        (2, &|| {
            fs::write(&file, "").expect("it is ours");
            fs::write(&file, "in two steps").expect("it is ours");
        }),
        (1, &|| fs::remove_file(&file).expect("it is there")),
    ];
    let mut most = 1;
    for (at, (steps, way)) in ways.iter().enumerate() {
        let here = up.here();
        way();
        up.wait_since(here, "api * restarting: ");
        starts(&project, at + 2);
        most += steps;
    }
    up.end();
    let markers = MarkerLog::read(&project.path("markers"));
    markers.assert_no_overlap();
    // Each is one restart; but a busy machine may pause between two steps.
    let count = markers.count("start", "api");
    assert!((5..=most).contains(&count), "{count} starts: {:?}", up.lines());
    project.finish();
}

/// As Vite behind `npm run dev`: only what it prints shows what it is.
#[test]
fn what_a_program_reloads_itself_is_left_to_it() {
    let project = TestProject::new();
    project.write("src/main.js", "1");
    project.write("server/app.js", "1");
    project.configure(
        r#"
        [services.web]
        command = "echo; echo '  VITE v7.1.2  ready in 312 ms'; exec {misbehave} marker markers"
        watch = ["**/*.js"]
        "#,
    );
    let up = project.devstack(["up"]).start();
    let note = up.wait_for("reloads itself, so its `watch` ignores src/**");
    assert!(note.starts_with("web * "), "{note}");
    save(&project, "src/main.js", "2");
    // A restart for it would come before this one.
    save(&project, "server/app.js", "2");
    up.wait_for("web * restarting: server/app.js changed");
    MarkerLog::wait_starts(&project.path("markers"), "web", 2);
    assert_eq!(service(&project.ps(), "web")["message"], serde_json::Value::Null);
    up.end();
    assert_eq!(MarkerLog::read(&project.path("markers")).count("start", "web"), 2);
    project.finish();
}

#[test]
fn a_new_copy_waits_for_the_end_of_the_old_one() {
    let project = TestProject::new();
    project.write("src/app.py", "0");
    project.configure(
        r#"
        [services.api]
        dir = "src"
        command = "echo this is $(cat app.py); exec {misbehave} marker ../markers --stop-ms 50"
        watch = true
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("this is 0");
    // Saved while the copy before is going, coming, or there: never lost, never two at once.
    for save in 1..=20 {
        project.write("src/app.py", &save.to_string());
        if save % 5 == 0 {
            up.wait_for(&format!("this is {save}"));
            // More in a row are a restart loop if they come at the same time after each start.
            project.devstack(["restart", "api"]).run().expect_code(0);
        }
    }
    up.end();
    let markers = MarkerLog::read(&project.path("markers"));
    markers.assert_no_overlap();
    let count = markers.count("start", "api");
    assert!(count <= 25, "{count} starts for 20 saves and 4 restarts");
    project.finish();
}

#[test]
fn a_save_starts_what_waits_or_was_given_up() {
    for (restart, phase, said) in [
        (
            r#"{ policy = "on-failure", delay = "10m", max_delay = "10m" }"#,
            "backoff",
            "exit 3; attempt 2 in 10m",
        ),
        (r#""no""#, "failed", "exited with code 3"),
        (r#"{ policy = "on-failure", max = 2, delay = "1ms" }"#, "failed", "exited 2 times"),
    ] {
        let project = TestProject::new();
        project.write("src/app.sh", "echo broken; exit 3");
        project.configure(&format!(
            r#"
            [services.api]
            dir = "src"
            command = ["sh", "app.sh"]
            watch = true
            restart = {restart}
            "#
        ));
        let up = project.devstack(["up"]).start();
        up.wait_line(|line| line.starts_with("api * ") && line.contains(said));
        project.wait_ps(|ps| service(ps, "api")["phase"] == phase);
        project.write("src/app.sh", "echo mended; exec {misbehave} run");
        up.wait_for("api | mended");
        project.wait_ps(|ps| service(ps, "api")["phase"] == "ready");
        project.end(&up);
    }
}

#[test]
fn a_save_restarts_only_services_that_watch_the_file() {
    let project = TestProject::new();
    project.write("api/x", "1");
    project.write("web/x", "1");
    project.configure(
        r#"
        [services.api]
        dir = "api"
        command = ["{misbehave}", "run"]
        watch = true
        [services.web]
        dir = "web"
        command = ["{misbehave}", "run"]
        watch = true
        depends_on = ["api"]
        [services.both]
        command = ["{misbehave}", "run"]
        watch = ["api/*", "web/*"]
        [services.none]
        command = ["{misbehave}", "run"]
        "#,
    );
    let up = project.up();
    save(&project, "api/x", "2");
    let restarts =
        |ps: &_| ["api", "both", "none", "web"].map(|name| service(ps, name)["restarts"].clone());
    project.wait_ps(|ps| restarts(ps) == [1, 1, 0, 0]);
    save(&project, "web/x", "2");
    project.wait_ps(|ps| restarts(ps) == [1, 2, 0, 1]);
    project.end(&up);
}

#[test]
fn a_service_stopped_by_hand_is_not_started_by_a_save() {
    let project = TestProject::new();
    watching(&project, "watch = true");
    let up = project.up();
    project.devstack(["stop", "api"]).run().expect_code(0);
    project.write("src/app.py", "2");
    project.devstack(["start", "api"]).run().expect_code(0);
    starts(&project, 2);
    save(&project, "src/app.py", "3");
    up.wait_for("api * restarting: src/app.py changed");
    starts(&project, 3);
    end(project, &up, 3);
}

#[test]
fn nothing_is_followed_with_no_watch() {
    let project = TestProject::new();
    watching(&project, "watch = true");
    let up = project.devstack(["up", "--no-watch"]).start();
    up.wait_for("is up");
    let watches = |pid: u32| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let targets = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
        targets.filter(|target| target.to_string_lossy().contains("inotify")).count()
    };
    assert_eq!(watches(up.pid()), 0);
    project.write("src/app.py", "2");
    project.configure("this is no TOML");
    project.devstack(["restart", "api"]).run().expect_code(0);
    starts(&project, 2);
    assert!(!up.lines().iter().any(|line| line.contains("changed")), "{:?}", up.lines());
    end(project, &up, 2);
}
