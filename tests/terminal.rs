//! Signals and terminals: what Ctrl-C does, what a closed window does, and what a terminal looks like afterwards.

use crate::support::{CTRL_C, RunningProgram, Signal, Source, TestProject, eventually};

/// A service that prints which signals it gets and survives all of them, and one that exits on the first.
const TOLD: &str = r#"
    [services.told]
    command = ["{misbehave}", "signals", "TERM", "INT", "HUP", "QUIT", "TSTP"]
    stop = { grace = "400ms" }
    [services.polite]
    command = ["{misbehave}", "slow-stop", "1"]
    "#;

/// A service that only a kill ends.
const DEAF: &str = r#"
    [services.deaf]
    command = ["{misbehave}", "ignore", "TERM", "INT", "HUP"]
    stop = { grace = "100s" }
    "#;

fn in_terminal(project: &TestProject, config: &str) -> RunningProgram {
    project.configure(config);
    let up = project.devstack(["up"]).terminal(30, 100).start();
    up.wait_for("is up");
    up.wait_count(config.matches("command").count(), "| ready");
    up
}

fn got(up: &RunningProgram) -> Vec<String> {
    up.lines().into_iter().filter(|line| line.contains("| got ")).collect()
}

#[test]
fn one_ctrl_c_tells_each_service_once_and_leaves_the_terminal_as_it_was() {
    let project = TestProject::with_config(TOLD);
    // A shell in front of it, so that the terminal lives longer than devstack.
    let script = "\"$0\" up; echo code $?";
    let shell = project.program("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
    let shell = shell.terminal(30, 100).start();
    shell.wait_for("is up");
    shell.wait_for("told   | ready");
    shell.wait_for("polite | ready");
    let settings = shell.settings();
    shell.write(CTRL_C);
    shell.wait_exit();
    shell.wait_closed();
    assert_eq!(shell.settings(), settings);
    // The shell dies of the same Ctrl-C, but only after devstack.
    assert_eq!(project.alive(), []);
    let lines = shell.lines();
    assert_eq!(got(&shell), ["told   | got TERM"], "{lines:#?}");
    assert!(lines.iter().any(|line| line == "polite | stopped"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("told did not stop within 400ms")), "{lines:#?}");
    project.finish();
}

#[test]
fn the_code_of_ctrl_c_is_130() {
    let project = TestProject::new();
    let up = in_terminal(&project, TOLD);
    let settings = up.settings();
    up.write(CTRL_C);
    assert_eq!(up.wait_code(), 130);
    assert_eq!(up.settings(), settings);
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn a_second_ctrl_c_kills_at_once() {
    let project = TestProject::new();
    let up = in_terminal(&project, DEAF);
    let settings = up.settings();
    up.write(CTRL_C);
    up.wait_for("stopping: Ctrl-C");
    up.write(CTRL_C);
    assert_eq!(up.wait_code(), 130);
    assert_eq!(up.settings(), settings);
    assert_eq!(project.alive(), []);
    project.finish();
}

#[test]
fn three_at_once_leave_the_rest_to_the_guard() {
    let project = TestProject::new();
    let up = in_terminal(&project, DEAF);
    for _ in 0..3 {
        up.interrupt();
    }
    // Signals that are pending join; a third one ends devstack in any case.
    up.wait_for("stopping: Ctrl-C");
    while up.is_running() {
        up.interrupt();
    }
    assert_eq!(up.wait_code(), 130);
    project.finish();
}

#[test]
fn services_have_no_part_in_the_terminal_of_devstack() {
    for (tty, word) in [("false", "no"), ("\"auto\"", "yes")] {
        let project = TestProject::new();
        let text = "[services.facts]\ncommand = [\"{misbehave}\", \"limits\"]\ntty = ";
        project.configure(&format!("{text}{tty}\n"));
        let up = project.devstack(["up"]).terminal(30, 100).start();
        assert_eq!(up.wait_code(), 0);
        for fd in 0..3 {
            up.wait_for(&format!("facts | tty{fd} {word}"));
        }
        if word == "yes" {
            up.wait_for("facts | window 30 92");
        }
        // A session of its own, so that its terminal is another one.
        let own = up.wait_pid("facts | pid");
        assert_eq!(up.wait_pid("facts | sid"), own);
        project.finish();
    }
}

#[test]
fn a_closed_window_ends_the_stack_with_129() {
    let project = TestProject::new();
    let up = in_terminal(&project, TOLD);
    up.hang_up();
    assert_eq!(up.wait_code(), 129);
    project.finish();
}

#[test]
fn sigterm_ends_it_with_143_and_sighup_with_129() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let project = TestProject::new();
        let up = in_terminal(&project, TOLD);
        up.signal(signal);
        assert_eq!(up.wait_code(), code);
        up.wait_closed();
        assert_eq!(got(&up), ["told   | got TERM"]);
        project.finish();
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let project = TestProject::with_config(
        r#"
        [services.flood]
        command = "while :; do echo line; done"
        [services.quiet]
        command = ["{misbehave}", "run"]
        "#,
    );
    let script = "\"$0\" up | head -1";
    let shell = project.program("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
    let ended = shell.run();
    assert_eq!((ended.code(), ended.stdout.lines().count()), (0, 1), "{ended:?}");
    assert_eq!(ended.stderr, "");
    // The pipe is over before devstack is: it stops its services first.
    eventually("devstack to end", || project.alive().is_empty().then_some(()));
    project.finish();
}

#[test]
fn a_reader_that_goes_later_ends_it_too() {
    let project = TestProject::with_config(
        r#"
        [services.later]
        command = ["{misbehave}", "--stay", "say", "one", "--after-gate", "gate", "two"]
        "#,
    );
    let mut gate = project.gate("gate");
    let up = project.devstack(["up"]).start();
    up.wait_for("waiting gate");
    up.close_output(Source::Stdout);
    gate.open();
    assert_eq!(up.wait_code(), 141);
    up.wait_closed();
    assert_eq!(up.stderr(), "");
    project.finish();
}

#[test]
fn closed_descriptors_are_no_trouble() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let project = TestProject::with_config(
            "[services.api]\ncommand = [\"{misbehave}\", \"marker\", \"marks\", \"--trap\"]\n\
             [services.fds]\nkind = \"task\"\ncommand = \"{misbehave} fdlist > fds\"\n",
        );
        let script = format!("exec \"$0\" up {closed}");
        let shell =
            project.program("/bin/sh").args(["-c", &script, env!("CARGO_BIN_EXE_devstack")]);
        let up = shell.start();
        let ps = project.wait_ps(|ps| ps["state"] == "up");
        assert_eq!(ps["services"][0]["phase"], "ready", "{closed}");
        up.signal(Signal::TERM);
        assert_eq!(up.wait_code(), 143, "{closed}");
        assert_eq!(project.read("fds").lines().count(), 3, "{closed}");
        project.finish();
    }
}

#[test]
fn the_end_of_stdin_is_no_news() {
    let project = TestProject::with_config(TOLD);
    let up = project.devstack(["up"]).stdin().start();
    up.wait_for("is up");
    up.close_stdin();
    project.devstack(["restart", "polite"]).run().expect_code(0);
    assert!(up.is_running());
    project.end(&up);
}

#[test]
fn it_runs_in_the_background_of_a_script() {
    let project = TestProject::with_config(TOLD);
    // A background job of a script ignores INT from the start; TERM is what scripts send.
    let script =
        "\"$0\" up & wait_for=$!; trap 'kill $wait_for; wait $wait_for; exit $?' TERM; wait";
    let shell = project.program("/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
    let shell = shell.start();
    shell.wait_for("is up");
    shell.wait_for("told   | ready");
    shell.signal(Signal::TERM);
    assert_eq!(shell.wait_code(), 143);
    project.finish();
}
