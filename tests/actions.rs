//! What follows from a save: a signal, a command, a build before the swap; and services that trigger themselves.

use std::fs;

use serde_json::Value;

use crate::support::{MarkerLog, TestProject, http_get, service};

/// Saves at one instant: what a test counts must not depend on how fast it writes.
fn save(project: &TestProject, file: &str, text: &str) {
    let draft = project.outside("tmp").join("draft");
    fs::write(&draft, text).expect("it is ours");
    fs::rename(draft, project.path(file)).expect("both are there");
}

fn message(ps: &Value, name: &str) -> String {
    service(ps, name)["message"]["text"].as_str().unwrap_or_default().to_owned()
}

/// A service `api` that serves what `make` built, and a build of `make` before each swap.
fn built(project: &TestProject) {
    project.write("src/app", "one");
    project.write("bin/app", "one");
    project.write(
        "make",
        "grep -q broken src/app && { echo 'app:1: this is broken'; exit 3; }; cp src/app bin/app",
    );
    project.configure(
        r#"
        [services.api]
        command = "exec {misbehave} listen --http --text \"$(cat bin/app)\""
        port = "auto"
        watch = { paths = ["src/**"], run = "sh make" }
        "#,
    );
}

fn text(project: &TestProject) -> String {
    let port = service(&project.ps(), "api")["port"].as_u64().expect("it has a port");
    let reply = http_get(u16::try_from(port).expect("it is one"), "/");
    let reply: Value = serde_json::from_str(&reply.body).expect("it answers JSON");
    reply["text"].as_str().expect("it says its text").to_owned()
}

#[test]
fn a_failing_build_keeps_what_runs_and_the_next_good_save_swaps() {
    let project = TestProject::new();
    built(&project);
    let up = project.up();
    let pid = service(&project.ps(), "api")["pid"].clone();
    save(&project, "src/app", "broken");
    up.wait_for("api * running `sh make`: src/app changed");
    up.wait_for("api * `sh make` failed (exit 3)");
    assert!(
        up.lines().iter().any(|line| line == "api | app:1: this is broken"),
        "{:?}",
        up.lines()
    );
    let ps = project.wait_ps(|ps| !service(ps, "api")["message"].is_null());
    let api = service(&ps, "api");
    assert_eq!(api["message"]["class"], "build");
    assert!(message(&ps, "api").contains("app:1: this is broken"), "{api}");
    assert_eq!((&api["pid"], &api["phase"]), (&pid, &"ready".into()));
    assert_eq!(text(&project), "one");
    let here = up.here();
    save(&project, "src/app", "two");
    up.wait_since(here, "api * `sh make` succeeded in ");
    up.wait_since(here, "api * restarting: src/app changed");
    up.wait_since(here, "api * ready");
    let ps = project.wait_ps(|ps| service(ps, "api")["restarts"] == 1);
    assert!(service(&ps, "api")["message"].is_null(), "{ps}");
    assert_eq!(text(&project), "two");
    project.end(&up);
}

/// However often is saved while a build runs: one more build, which sees the last of it, and one swap.
#[test]
fn saves_during_a_build_are_one_more_build() {
    let project = TestProject::new();
    project.write("src/app", "0");
    project.configure(
        r#"
        [services.api]
        command = ["{misbehave}", "marker", "markers"]
        watch = { paths = ["src/**"], run = "echo building $(cat src/app); : < gate" }
        [services.web]
        command = ["{misbehave}", "marker", "markers"]
        watch = ["src/**"]
        "#,
    );
    let mut gate = project.gate("gate");
    let up = project.up();
    save(&project, "src/app", "1");
    up.wait_for("api | building 1");
    for n in 2..=4 {
        // Both watch the same: once the other is restarted, devstack knows of the save.
        let here = up.here();
        save(&project, "src/app", &n.to_string());
        up.wait_since(here, "web * restarting: src/app changed");
        MarkerLog::wait_starts(&project.path("markers"), "web", n + 1);
    }
    gate.open();
    up.wait_for("api * restarting: src/app changed");
    let markers = MarkerLog::wait_starts(&project.path("markers"), "api", 2);
    markers.assert_no_overlap();
    let built = up.lines().into_iter().filter(|line| line.contains("| building "));
    assert_eq!(built.collect::<Vec<_>>(), ["api | building 1", "api | building 4"]);
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["restarts"], 1);
    project.end(&up);
}

/// A build that never ends and ignores signals, in every way out.
#[test]
fn a_build_that_hangs_is_ended_with_its_service() {
    for way in ["ctrl-c", "twice", "stop", "restart", "edit", "kill9"] {
        let project = TestProject::new();
        let file = r#"
            [services.api]
            command = ["{misbehave}", "run"]
            stop = { grace = "100ms" }
            watch = { paths = ["src/**"], run = ["{misbehave}", "--ignore", "TERM,INT,HUP", "tree", "setsid"] }
            "#;
        project.write("src/app", "1");
        project.configure(file);
        let up = project.up();
        let before = project.alive().len();
        save(&project, "src/app", "2");
        up.wait_for("api | ready ");
        up.wait_count(2, "api | ready ");
        assert!(project.alive().len() > before, "the build runs");
        match way {
            "ctrl-c" => {}
            "twice" => up.interrupt(),
            "stop" => {
                project.devstack(["stop", "api"]).run().expect_code(0);
                let ps = project.ps();
                assert_eq!(service(&ps, "api")["phase"], "idle");
            }
            "restart" => {
                project.devstack(["restart", "api"]).run().expect_code(0);
                // It was restarted at once, and what was not built is built again.
                up.wait_count(2, "api * running `");
            }
            "edit" => {
                project.configure(&file.replace("\"tree\", \"setsid\"", "\"exit\", \"0\""));
                up.wait_for("api * restarting: src/app changed");
            }
            "kill9" => up.kill9(),
            other => panic!("{other}"),
        }
        if way == "kill9" {
            project.assert_nothing_alive();
            project.finish();
        } else {
            project.end(&up);
        }
    }
}

#[test]
fn a_signal_goes_to_the_main_process_and_the_service_goes_on() {
    let project = TestProject::new();
    project.write("app.conf", "1");
    project.configure(
        r#"
        [services.api]
        command = ["{misbehave}", "signals", "HUP", "USR1"]
        [[services.api.watch]]
        paths = ["*.conf"]
        action = "signal"
        [[services.api.watch]]
        paths = ["*.tmpl"]
        signal = "USR1"
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("api | ready ");
    up.wait_for("is up");
    let pid = service(&project.ps(), "api")["pid"].clone();
    save(&project, "app.conf", "2");
    up.wait_for("api * sent SIGHUP: app.conf changed");
    up.wait_for("api | got HUP");
    save(&project, "a.tmpl", "1");
    up.wait_for("api | got USR1");
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["pid"], pid);
    assert_eq!(up.lines().iter().filter(|line| line.contains("| got ")).count(), 2);
    project.end(&up);
}

#[test]
fn a_signal_waits_until_the_service_is_ready() {
    let project = TestProject::new();
    project.write("app.conf", "1");
    project.configure(
        r#"
        [services.api]
        command = "echo begins; : < gate; exec {misbehave} signals HUP"
        ready = { log = "^ready" }
        watch = { paths = ["*.conf"], action = "signal" }
        [services.web]
        command = ["{misbehave}", "run"]
        watch = ["app.conf"]
        "#,
    );
    let mut gate = project.gate("gate");
    let up = project.devstack(["up"]).start();
    up.wait_for("api | begins");
    save(&project, "app.conf", "2");
    // Both watch the file: devstack knows of the save when the other is restarted.
    up.wait_for("web * restarting: app.conf changed");
    gate.open();
    up.wait_for("api * sent SIGHUP: app.conf changed");
    up.wait_for("api | got HUP");
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["restarts"], 0);
    project.end(&up);
}

#[test]
fn a_command_runs_in_the_directory_and_environment_of_the_service() {
    let project = TestProject::new();
    project.write("db/a.sql", "1");
    project.write("db/a.py", "1");
    project.configure(
        r#"
        [services.api]
        dir = "db"
        command = ["{misbehave}", "run"]
        port = 4100
        ready = { delay = "0s" }
        env = { GREETING = "hello" }
        [[services.api.watch]]
        paths = ["**/*.sql"]
        action = "run"
        run = "echo schema of $GREETING $PORT in ${PWD##*/}, ${api.port}"
        [[services.api.watch]]
        paths = ["**/*.py"]
        "#,
    );
    let up = project.up();
    let port = service(&project.ps(), "api")["port"].to_string();
    save(&project, "db/a.sql", "2");
    up.wait_for(&format!("api | schema of hello {port} in db, {port}"));
    up.wait_for("api * `echo schema of");
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["restarts"], 0, "{ps}");
    save(&project, "db/a.py", "2");
    up.wait_for("api * restarting: db/a.py changed");
    project.wait_ps(|ps| service(ps, "api")["restarts"] == 1);
    project.end(&up);
}

#[test]
fn a_command_that_cannot_be_started_is_reported() {
    let project = TestProject::new();
    project.write("a", "1");
    project.configure(
        r#"
        [services.api]
        command = ["{misbehave}", "run"]
        watch = { paths = ["a"], action = "run", run = ["./no-such-program"] }
        "#,
    );
    let up = project.up();
    save(&project, "a", "2");
    up.wait_for("api * cannot start `./no-such-program`: ");
    project.wait_ps(|ps| message(ps, "api").contains("no-such-program"));
    project.end(&up);
}

#[test]
fn a_task_runs_again_when_its_files_change() {
    let project = TestProject::new();
    project.write("seed", "exit 0");
    project.configure(
        r#"
        [services.seed]
        kind = "task"
        command = ["sh", "seed"]
        watch = ["seed"]
        [services.api]
        command = ["{misbehave}", "run"]
        depends_on = ["seed"]
        "#,
    );
    let up = project.up();
    let pid = service(&project.ps(), "api")["pid"].clone();
    save(&project, "seed", "echo again; exit 3");
    up.wait_for("seed | again");
    project.wait_ps(|ps| service(ps, "seed")["phase"] == "failed");
    save(&project, "seed", "echo mended");
    up.wait_for("seed | mended");
    let ps = project.wait_ps(|ps| service(ps, "seed")["phase"] == "done");
    assert_eq!(service(&ps, "seed")["restarts"], 2);
    assert_eq!(service(&ps, "api")["pid"], pid, "what depends on it goes on");
    project.end(&up);
}

/// A service that writes what it watches, three seconds after its start: four restarts are enough.
#[test]
fn a_service_that_writes_late_is_paused() {
    let project = TestProject::new();
    project.write("src/app", "1");
    project.configure(
        r#"
        [services.api]
        dir = "src"
        command = "echo api start >> ../begun; sleep 3; echo $$ > stamp; exec {misbehave} run"
        watch = true
        "#,
    );
    let up = project.devstack(["up"]).start();
    let paused = up.wait_for("api * file watching for api is paused: stamp changed ");
    assert!(paused.contains("4 times in a row, each 3"), "{paused}");
    let starts = std::fs::read_to_string(project.path("begun")).expect("it began");
    assert_eq!(starts.lines().count(), 4, "{starts}");
    let here = up.here();
    save(&project, "src/app", "2");
    up.wait_since(here, "api * restarting: src/app changed");
    project.end(&up);
}

/// The service writes into the directory it watches: that is detected, with name and file, and ignored; what a user
/// saves is not.
#[test]
fn a_service_that_restarts_itself_is_paused() {
    let project = TestProject::new();
    project.write("src/app", "1");
    project.configure(
        r#"
        [services.api]
        dir = "src"
        command = "echo $$ > stamp; exec {misbehave} marker ../markers"
        watch = true
        [services.web]
        dir = "src"
        command = ["{misbehave}", "run"]
        watch = ["app"]
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("api * file watching for api is paused: stamp changed ");
    up.wait_for("ignore = [\"stamp\"]");
    let ps = project.wait_ps(|ps| message(ps, "api").contains("paused: stamp"));
    assert_eq!(service(&ps, "api")["message"]["class"], "watch-degraded");
    assert_eq!(service(&ps, "web")["restarts"], 0);
    let here = up.here();
    save(&project, "src/app", "2");
    up.wait_since(here, "web * restarting: src/app changed");
    up.wait_since(here, "api * restarting: src/app changed");
    MarkerLog::read(&project.path("markers")).assert_no_overlap();
    project.end(&up);
}

/// A script that saves again as soon as it sees the restart is no loop, and each save is one restart.
#[test]
fn quick_saves_are_a_restart_each() {
    let project = TestProject::new();
    project.write("app", "0");
    project.configure(
        r#"
        [services.api]
        command = ["{misbehave}", "marker", "markers"]
        watch = ["app"]
        "#,
    );
    let up = project.up();
    let starts = |count| drop(MarkerLog::wait_starts(&project.path("markers"), "api", count));
    // However slow the machine is, three in a row are no loop; a restart by hand begins a new row.
    for row in 0..20 {
        for n in 1..=3 {
            save(&project, "app", &format!("{row} {n}"));
            starts(1 + row * 4 + n);
        }
        project.devstack(["restart", "api"]).run().expect_code(0);
        starts(1 + row * 4 + 4);
    }
    let ps = project.ps();
    assert_eq!(service(&ps, "api")["restarts"], 80, "{:?}", up.lines());
    MarkerLog::read(&project.path("markers")).assert_no_overlap();
    project.end(&up);
}

/// Saves that come while the service stops or starts: one more run, which has seen the last of them.
#[test]
fn saves_while_it_stops_or_starts_are_one_more_run() {
    for (keys, gated) in [
        ("stop = { command = \": < gate; kill $MAINPID\", grace = \"5m\" }", "stops"),
        ("ready = { exec = \": < gate\", timeout = \"5m\" }", "starts"),
    ] {
        let project = TestProject::new();
        project.write("app", "0");
        project.configure(&format!(
            r#"
            [services.api]
            command = "echo this is $(cat app); exec {{misbehave}} marker markers"
            watch = ["app"]
            {keys}
            [services.web]
            command = ["{{misbehave}}", "marker", "markers"]
            watch = ["app"]
            "#
        ));
        let mut gate = project.gate("gate");
        let up = project.devstack(["up"]).start();
        up.wait_for("api | this is 0");
        MarkerLog::wait_starts(&project.path("markers"), "web", 1);
        for n in 1..=3 {
            // Both watch the same: once the other is restarted, devstack knows of the save.
            save(&project, "app", &n.to_string());
            MarkerLog::wait_starts(&project.path("markers"), "web", n + 1);
        }
        gate.open();
        up.wait_for("api | this is 3");
        project.wait_ps(|ps| service(ps, "api")["phase"] == "ready");
        let begun = up.lines().into_iter().filter(|line| line.starts_with("api | this is "));
        let begun: Vec<String> = begun.collect();
        match gated {
            "stops" => assert_eq!(begun, ["api | this is 0", "api | this is 3"]),
            // What starts is stopped at once, so each of the saves may have been one.
            _ => assert!((2..=4).contains(&begun.len()), "{begun:?}"),
        }
        MarkerLog::read(&project.path("markers")).assert_no_overlap();
        project.end(&up);
    }
}
