//! How services live: order, conditions, restarts, ends, stops. Real processes, whole program.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    MarkerLog, RunningProgram, Signal, TestProject, eventually, free_port, require, service,
};

/// A started `devstack up` of this configuration.
fn up(project: &TestProject, config: &str) -> RunningProgram {
    project.configure(config);
    project.devstack(["up"]).start()
}

/// Ctrl-C, and the end that belongs to it.
#[track_caller]
fn interrupt(up: &RunningProgram) {
    up.end();
    up.wait_closed();
}

/// Where the first line with this text is.
#[track_caller]
fn at(lines: &[String], text: &str) -> usize {
    lines
        .iter()
        .position(|line| line.contains(text))
        .unwrap_or_else(|| panic!("no {text:?} in {lines:#?}"))
}

fn phase<'a>(ps: &'a Value, name: &str) -> &'a Value {
    &service(ps, name)["phase"]
}

#[test]
fn services_start_when_what_they_need_is_there() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let port = free_port();
    let up = up(
        &project,
        &format!(
            r#"
            [services.db]
            command = ["{{misbehave}}", "listen", "--after-gate", "gate"]
            port = {port}
            [services.early]
            command = ["{{misbehave}}", "run"]
            depends_on = {{ db = "started" }}
            [services.migrate]
            kind = "task"
            command = ["{{misbehave}}", "say", "migrated"]
            depends_on = ["db"]
            [services.api]
            command = ["{{misbehave}}", "run"]
            depends_on = {{ db = "ready", migrate = "completed" }}
            "#
        ),
    );
    up.wait_for("waiting gate");
    let ps = project.wait_ps(|ps| phase(ps, "early") == "ready");
    assert_eq!(phase(&ps, "db"), "starting");
    assert_eq!(phase(&ps, "migrate"), "waiting");
    assert_eq!(phase(&ps, "api"), "waiting");
    let needs = json!([
        {"service": "db", "condition": "ready"},
        {"service": "migrate", "condition": "completed"}
    ]);
    assert_eq!(service(&ps, "api")["waiting_on"], needs);
    gate.open();
    up.wait_for("is up");
    let lines = up.lines();
    let order =
        ["db      * ready", "migrate * starting", "migrate | migrated", "api     * starting"];
    let places = order.map(|text| at(&lines, text));
    assert!(places.is_sorted(), "{places:?} in {lines:#?}");
    let ps = project.ps();
    assert_eq!(phase(&ps, "migrate"), "done");
    assert_eq!(service(&ps, "migrate")["exit"], json!({"code": 0}));
    interrupt(&up);
    project.finish();
}

#[test]
fn dependents_are_gone_before_their_dependencies_are_signalled() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.db]
        command = ["{misbehave}", "marker", "marks", "--trap"]
        [services.api]
        command = ["{misbehave}", "marker", "marks", "--stop-ms", "100"]
        depends_on = ["db"]
        [services.web]
        command = ["{misbehave}", "marker", "marks", "--stop-ms", "100"]
        depends_on = ["api"]
        "#,
    );
    let marks = project.path("marks");
    for name in ["db", "api", "web"] {
        MarkerLog::wait_starts(&marks, name, 1);
    }
    up.wait_for("is up");
    interrupt(&up);
    let markers = MarkerLog::read(&marks);
    let exit = |name: &str| markers.of(name).find(|mark| mark.what == "exit").expect(name).nanos;
    assert!(exit("web") < exit("api") && exit("api") < exit("db"), "{markers:?}");
    let lines = up.lines();
    assert!(at(&lines, "web | stopping") < at(&lines, "api | stopping"), "{lines:#?}");
    assert!(at(&lines, "api | stopping") < at(&lines, "db  | stopping"), "{lines:#?}");
    project.finish();
}

#[test]
fn a_crash_loop_backs_off_gives_up_and_is_mended_by_a_restart() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.bad]
        command = "test -e mended || exit 3; exec {misbehave} run"
        restart = { delay = "10ms", max = 4 }
        [services.good]
        command = ["{misbehave}", "run"]
        "#,
    );
    up.wait_for("bad  * failed: exited 4 times");
    for text in
        ["exit 3; attempt 2 in 10ms", "exit 3; attempt 3 in 20ms", "exit 3; attempt 4 in 40ms"]
    {
        up.wait_for(text);
    }
    let ps = project.ps();
    let bad = service(&ps, "bad");
    assert_eq!((&bad["phase"], &bad["restarts"]), (&json!("failed"), &json!(3)));
    assert_eq!((&bad["exit"], &bad["pid"]), (&json!({"code": 3}), &Value::Null));
    assert_eq!(bad["message"]["class"], "crash-loop");
    assert_eq!(ps["state"], "degraded");
    let good = service(&ps, "good")["pid"].clone();
    project.write("mended", "");
    project.devstack(["restart", "bad"]).run().expect_code(0);
    let ps = project.ps();
    assert_eq!((phase(&ps, "bad"), &ps["state"]), (&json!("ready"), &json!("up")));
    assert_eq!(service(&ps, "good")["pid"], good);
    interrupt(&up);
    project.finish();
}

#[test]
fn a_restart_that_could_not_start_again_leaves_the_service_running() {
    let project = TestProject::new();
    fs::create_dir(project.path("app")).expect("a new directory");
    let config = "[services.api]\ncommand = ['{misbehave}', 'run']\ndir = 'app'";
    let up = up(&project, config);
    up.wait_for("is up");
    let pid = || service(&project.ps(), "api")["pid"].clone();
    let before = pid();
    fs::remove_dir(project.path("app")).expect("it is there");
    let refused = project.devstack(["restart", "api"]).run().expect_code(1);
    assert!(refused.stderr.contains("api keeps running and is not restarted: "), "{refused:?}");
    assert_eq!(pid(), before);
    fs::create_dir(project.path("app")).expect("it is gone");
    project.devstack(["restart", "api"]).run().expect_code(0);
    assert_ne!(pid(), before);
    interrupt(&up);
    project.finish();
}

#[test]
fn a_stack_of_which_nothing_is_left_ends_with_1() {
    let project = TestProject::new();
    let config = r#"
        [services.bad]
        command = "echo why; exit 3"
        restart = { delay = "1ms", max = 3 }
        [services.task]
        kind = "task"
        command = "exit 0"
        "#;
    let up = up(&project, config);
    assert_eq!(up.wait_code(), 1);
    up.wait_closed();
    let lines = up.lines();
    let count = |what: &str| lines.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!(count("bad  | why"), 1, "{lines:#?}");
    assert_eq!(count("bad  * the same output as before, 1 line; "), 2, "{lines:#?}");
    project.finish();
}

#[test]
fn restart_policies_are_kept() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.never]
        command = ["{misbehave}", "die", "SEGV"]
        restart = "no"
        [services.always]
        command = "echo again; exit 0"
        restart = { policy = "always", delay = "5ms", max_delay = "5ms" }
        [services.failure]
        command = "exit 0"
        [services.odd]
        command = "exit 7"
        success_codes = [0, 7]
        "#,
    );
    up.wait_count(5, "always  | again");
    let ps = project.wait_ps(|ps| phase(ps, "never") == "failed" && phase(ps, "odd") == "done");
    assert_eq!(service(&ps, "never")["exit"], json!({"signal": "SEGV"}));
    assert_eq!(service(&ps, "never")["restarts"], 0);
    assert_eq!(phase(&ps, "failure"), "done");
    assert_eq!(service(&ps, "odd")["exit"], json!({"code": 7}));
    assert_eq!(service(&ps, "odd")["restarts"], 0);
    interrupt(&up);
    project.finish();
}

#[test]
fn expected_ends_are_a_success_of_the_stack() {
    let project = TestProject::new();
    let config = "[services.odd]\ncommand = \"exit 7\"\nsuccess_codes = [7]\n";
    assert_eq!(up(&project, config).wait_code(), 0);
    project.finish();
}

#[test]
fn the_end_of_the_main_service_ends_the_stack_with_its_code() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let up = up(
        &project,
        r#"
        [services.test]
        command = ": < gate; exit 9"
        on_exit = "shutdown"
        depends_on = ["db"]
        [services.db]
        command = ["{misbehave}", "marker", "marks", "--trap"]
        "#,
    );
    MarkerLog::wait_starts(&project.path("marks"), "db", 1);
    gate.open();
    assert_eq!(up.wait_code(), 9);
    up.wait_closed();
    assert_eq!(MarkerLog::read(&project.path("marks")).count("exit", "db"), 1);
    assert!(up.stdout().contains("stopping: test exited (exit 9)"), "{}", up.stdout());
    project.finish();
}

#[test]
fn what_does_not_start_by_itself_starts_when_it_is_asked_for_or_needed() {
    let project = TestProject::new();
    let config = r#"
        [services.spare]
        command = ["{misbehave}", "run"]
        autostart = false
        [services.cache]
        command = ["{misbehave}", "run"]
        autostart = false
        [services.api]
        command = ["{misbehave}", "run"]
        depends_on = ["cache"]
        "#;
    let up = up(&project, config);
    up.wait_for("is up");
    let ps = project.ps();
    assert_eq!(phase(&ps, "spare"), "idle");
    assert_eq!((phase(&ps, "cache"), phase(&ps, "api")), (&json!("ready"), &json!("ready")));
    project.devstack(["start", "spare"]).run().expect_code(0);
    assert_eq!(phase(&project.ps(), "spare"), "ready");
    interrupt(&up);
    project.finish();
}

#[test]
fn a_part_of_the_stack_can_be_started() {
    let project = TestProject::with_config(
        r#"
        [services.db]
        command = ["{misbehave}", "run"]
        [services.api]
        command = ["{misbehave}", "run"]
        depends_on = ["db"]
        [services.web]
        command = ["{misbehave}", "run"]
        "#,
    );
    for (args, phases) in [
        (&["up", "api"][..], ["ready", "ready", "idle"]),
        (&["up", "--no-deps", "api"], ["idle", "ready", "idle"]),
        (&["up", "web", "db"], ["ready", "idle", "ready"]),
    ] {
        let up = project.devstack(args).start();
        up.wait_for("is up");
        let ps = project.ps();
        assert_eq!(["db", "api", "web"].map(|name| phase(&ps, name)), phases, "{args:?}");
        interrupt(&up);
    }
    let ended = project.devstack(["up", "wep"]).run().expect_code(3);
    assert!(ended.stderr.contains("did you mean `web`?"), "{}", ended.stderr);
    project.finish();
}

#[test]
fn a_service_gets_its_own_signal_once_and_is_killed_after_its_grace() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.deaf]
        command = ["{misbehave}", "signals", "INT", "TERM", "HUP"]
        stop = { signal = "INT", grace = "100ms" }
        [services.polite]
        command = ["{misbehave}", "slow-stop", "1"]
        "#,
    );
    up.wait_for("deaf   | ready");
    up.wait_for("polite | ready");
    project.devstack(["stop", "deaf", "polite"]).run().expect_code(0);
    let ps = project.ps();
    assert_eq!((phase(&ps, "deaf"), phase(&ps, "polite")), (&json!("idle"), &json!("idle")));
    assert_eq!(service(&ps, "deaf")["exit"], json!({"signal": "KILL"}));
    assert_eq!(service(&ps, "polite")["exit"], json!({"code": 0}));
    up.wait_for("deaf did not stop within 100ms; killing it");
    interrupt(&up);
    up.wait_closed();
    let got: Vec<_> = up.lines().into_iter().filter(|line| line.contains("got ")).collect();
    assert_eq!(got, ["deaf   | got INT"]);
    project.finish();
}

#[test]
fn a_stopped_process_is_continued_so_that_it_can_end() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.frozen]
        command = ["{misbehave}", "stop-self"]
        stop = { grace = "60s" }
        "#,
    );
    let pid = up.wait_pid("frozen | stopping");
    if require("/proc", cfg!(target_os = "linux")) {
        eventually("the service to stop itself", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.contains(") T ").then_some(())
        });
    }
    interrupt(&up);
    project.finish();
}

#[test]
fn what_needs_a_failed_task_fails_with_it_and_the_rest_goes_on() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.migrate]
        kind = "task"
        command = "echo no database; exit 4"
        restart = "no"
        [services.api]
        command = ["{misbehave}", "run"]
        depends_on = ["migrate"]
        [services.web]
        command = ["{misbehave}", "run"]
        depends_on = ["api"]
        [services.docs]
        command = ["{misbehave}", "run"]
        "#,
    );
    up.wait_for("1 failed, 2 wait for it");
    let ps = project.ps();
    for name in ["api", "web"] {
        let message = &service(&ps, name)["message"];
        assert_eq!(
            (phase(&ps, name), &message["class"]),
            (&json!("blocked"), &json!("dep-failed"))
        );
        let text = message["text"].as_str().expect("a text");
        assert!(text.contains("migrate") && text.contains("code 4"), "{text}");
        assert_eq!(service(&ps, name)["run"], Value::Null);
    }
    assert_eq!(phase(&ps, "docs"), "ready");
    up.wait_for(&format!("{:10}  | no database", ""));
    interrupt(&up);
    project.finish();
}

#[test]
fn a_program_that_is_not_there_is_no_crash() {
    let project = TestProject::new();
    project.write("text", "no program");
    let up = up(
        &project,
        r#"
        [services.absent]
        command = ["no-such-program-anywhere"]
        [services.text]
        command = ["./text"]
        [services.good]
        command = ["{misbehave}", "run"]
        "#,
    );
    up.wait_for("2 of 3 failed");
    let ps = project.ps();
    for name in ["absent", "text"] {
        let view = service(&ps, name);
        assert_eq!((&view["phase"], &view["restarts"]), (&json!("failed"), &json!(0)));
        assert_eq!(view["message"]["class"], "spawn");
        assert_ne!(view["message"]["help"], "");
    }
    let text = |name| service(&ps, name)["message"]["text"].as_str().expect("a text").to_owned();
    assert!(text("absent").contains("no-such-program-anywhere"), "{}", text("absent"));
    assert_ne!(text("absent"), text("text"));
    interrupt(&up);
    project.finish();
}

#[test]
fn children_get_a_clean_process() {
    let project = TestProject::with_config(
        r#"
        [services.fds]
        command = ["{misbehave}", "fdlist"]
        [services.mask]
        command = ["{misbehave}", "sigmask"]
        [services.limits]
        command = ["{misbehave}", "limits"]
        dir = "sub"
        "#,
    );
    project.write("sub/keep", "");
    // A shell that ignores what it can, with a low file limit, an odd mask, and descriptors of its own.
    let script =
        "trap '' PIPE TERM HUP; ulimit -Sn 333; umask 027; exec \"$0\" up 7< devstack.toml 9>&1";
    let devstack = env!("CARGO_BIN_EXE_devstack");
    let up = project.program("/bin/sh").args(["-c", script, devstack]).start();
    assert_eq!(up.wait_code(), 0);
    up.wait_closed();
    let lines = up.lines();
    let of = |name: &str| -> Vec<&str> {
        let prefix = format!("{name:6} | ");
        lines.iter().filter_map(|line| line.strip_prefix(prefix.as_str())).collect()
    };
    let fds: Vec<&str> = of("fds").iter().map(|line| &line[..4]).collect();
    assert_eq!(fds, ["fd 0", "fd 1", "fd 2"], "{lines:#?}");
    if cfg!(target_os = "linux") {
        assert_eq!(of("fds")[0], "fd 0 /dev/null");
    }
    assert_eq!(of("mask"), ["blocked", "ignored", "caught"]);
    let limits = of("limits");
    let dir = format!("cwd {}", project.path("sub").display());
    assert!(limits.iter().any(|line| line.starts_with("nofile 333 ")), "{limits:?}");
    for line in ["umask 027", "tty0 no", "tty1 no", dir.as_str()] {
        assert!(limits.contains(&line), "{line} in {limits:?}");
    }
    project.finish();
}

#[test]
fn copies_never_overlap_over_fifty_restarts() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.web]
        command = "{misbehave} marker marks --stop-ms 3 & wait"
        [services.plain]
        command = ["{misbehave}", "marker", "marks"]
        "#,
    );
    let marks = project.path("marks");
    for name in ["web", "plain"] {
        MarkerLog::wait_starts(&marks, name, 1);
    }
    // Five at a time: requests that come together may share a restart.
    for _ in 0..10 {
        let asked: Vec<RunningProgram> =
            (0..5).map(|_| project.devstack(["restart", "web", "plain"]).start()).collect();
        asked.iter().for_each(|one| assert_eq!(one.wait_code(), 0));
    }
    let ps = project.ps();
    for name in ["web", "plain"] {
        let runs = service(&ps, name)["restarts"].as_u64().expect("a number") as usize + 1;
        assert!((11..=51).contains(&runs), "{runs}");
        // A run may be stopped before it has printed anything; the last one stays.
        MarkerLog::wait_starts(&marks, name, 2);
        assert!(MarkerLog::read(&marks).count("start", name) <= runs);
    }
    interrupt(&up);
    MarkerLog::read(&marks).assert_no_overlap();
    project.assert_no_zombie();
    project.finish();
}

#[test]
fn a_service_that_ends_by_a_signal_says_which() {
    let project = TestProject::new();
    let up = up(
        &project,
        "[services.api]\ncommand = [\"{misbehave}\", \"run\"]\nrestart = \"no\"\n\
         [services.other]\ncommand = [\"{misbehave}\", \"run\"]\n",
    );
    up.wait_for("is up");
    up.wait_for("api   | ready");
    let pid = service(&project.ps(), "api")["pid"].as_u64().expect("it runs");
    project.program("/bin/kill").args(["-KILL", &pid.to_string()]).run().expect_code(0);
    up.wait_for("api   * failed: killed by SIGKILL");
    assert!(up.signal(Signal::TERM));
    assert_eq!(up.wait_code(), 143);
    project.finish();
}
