//! The TUI: `devstack tui` and `up --tui`, in a real terminal.

use std::num::NonZero;

use crate::support::{
    CTRL_C, RunningProgram, Signal, Source, TestProject, TtySettings, eventually, service,
};

const SIZE: (u16, u16) = (24, 80);

/// Waits until the screen of a program has all of these texts, and returns it.
#[track_caller]
fn wait_screen(program: &RunningProgram, size: (u16, u16), texts: &[&str]) -> String {
    eventually(&format!("{texts:?} on the screen"), || {
        let screen = screen(program, size);
        texts.iter().all(|text| screen.contains(text)).then_some(screen)
    })
}

fn screen(program: &RunningProgram, size: (u16, u16)) -> String {
    let screen = parsed(program, size).screen().contents();
    // Blanks may have been written or not.
    screen.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn parsed(program: &RunningProgram, (rows, columns): (u16, u16)) -> vt100::Parser {
    let of = |number| NonZero::new(number).expect("a size");
    let mut parser = vt100::Parser::new(of(rows), of(columns), 0);
    parser.process(&program.bytes(Source::Stdout));
    parser
}

fn is_alternate(program: &RunningProgram) -> bool {
    parsed(program, SIZE).screen().alternate_screen()
}

fn usual_settings(project: &TestProject) -> TtySettings {
    let nothing = project.program("true").terminal(SIZE.0, SIZE.1).start();
    assert_eq!(nothing.wait_code(), 0);
    nothing.settings()
}

const STACK: &str = r#"
    [services.api]
    command = "echo needle in the hay; for i in $(seq 3000); do echo line $i; done; echo WARN at the end; exec tail -f /dev/null"

    [services.other]
    command = ["{misbehave}", "run"]
    "#;

fn up(project: &TestProject) -> RunningProgram {
    project.write("devstack.toml", STACK);
    let up = project.devstack(["up"]).start();
    up.wait_for("is up");
    up.wait_for("api   | WARN at the end");
    up
}

#[test]
fn a_running_stack_is_shown_and_controlled_and_goes_on_when_it_is_closed() {
    let project = TestProject::new();
    let up = up(&project);
    let tui = project.devstack(["tui"]).terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["api", "other", "ready", "WARN at the end", "following"]);

    // What has scrolled away long ago is found in the stored log.
    tui.write(b"/needle\r");
    wait_screen(&tui, SIZE, &["needle in the hay", "line 1\n", "paused"]);
    tui.write(b"n");
    wait_screen(&tui, SIZE, &["no earlier line matches"]);
    tui.write(b"G");
    wait_screen(&tui, SIZE, &["line 3000", "following"]);

    // The filter leaves only what it names.
    tui.write(b"f@api level:warn\r");
    eventually("the filtered log", || {
        let screen = screen(&tui, SIZE);
        (screen.contains("WARN at the end") && !screen.contains("line 3000")).then_some(())
    });
    tui.write(b"\x1b");
    wait_screen(&tui, SIZE, &["line 3000"]);

    // The first service is selected.
    let pid = |name: &str| service(&project.ps(), name)["pid"].clone();
    let before = pid("api");
    tui.write(b"w");
    wait_screen(&tui, SIZE, &["why api", "next"]);
    tui.write(b"q");
    tui.write(b"r");
    project.wait_ps(|ps| service(ps, "api")["run"] != 1 && service(ps, "api")["phase"] == "ready");
    assert_ne!(pid("api"), before);
    // The key does what the screen offers.
    eventually("the service to be shown as ready", || {
        let shown = screen(&tui, SIZE);
        let mut rows = shown.lines().map(|row| row.chars().take(24).collect::<String>());
        let is_ready = rows.any(|row| row.contains("api") && row.contains("ready"));
        (is_ready && !shown.contains("restarting api")).then_some(())
    });
    tui.write(b"s");
    project.wait_ps(|ps| service(ps, "api")["phase"] == "idle");
    wait_screen(&tui, SIZE, &["idle"]);
    tui.write(b"s");
    project.wait_ps(|ps| service(ps, "api")["phase"] == "ready");
    // The palette reaches the other one.
    let before = pid("other");
    tui.write(b":restart other\r");
    project.wait_ps(|ps| {
        let other = service(ps, "other");
        other["phase"] == "ready" && other["pid"] != before
    });

    tui.resize(40, 130);
    wait_screen(&tui, (40, 130), &["MEM ── log"]);
    tui.write(b"q");
    assert_eq!(tui.wait_code(), 0);
    assert_eq!(tui.settings(), usual_settings(&project));
    assert!(!is_alternate(&tui));
    assert_eq!(service(&project.ps(), "api")["phase"], "ready");
    up.end();
    project.finish();
}

#[test]
fn the_plain_log_comes_back_as_if_there_had_been_no_tui() {
    let project = TestProject::new();
    let plain = |line: &str| line.starts_with("api   | ");
    project.write("devstack.toml", STACK);
    let up = project.devstack(["up"]).terminal(SIZE.0, SIZE.1).start();
    up.wait_for("api   | WARN at the end");
    let expected: Vec<u8> = service_lines(&up);
    up.write(CTRL_C);
    assert_eq!(up.wait_code(), 130);
    assert!(up.lines().iter().any(|line| plain(line)));

    let tui = project.devstack(["up", "--tui"]).terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["WARN at the end", "q plain log"]);
    assert!(is_alternate(&tui));
    tui.write(b"q");
    tui.wait_for("api   | WARN at the end");
    eventually("the plain log", || (service_lines(&tui) == expected).then_some(()));
    assert!(!is_alternate(&tui));
    assert_eq!(tui.settings(), usual_settings(&project));
    tui.write(CTRL_C);
    assert_eq!(tui.wait_code(), 130);
    tui.wait_for("everything stopped");
    project.finish();
}

/// The lines of `api` in the plain log, byte for byte.
fn service_lines(program: &RunningProgram) -> Vec<u8> {
    let bytes = program.bytes(Source::Stdout);
    let end = memchr::memmem::rfind(&bytes, b"\x1b[?1049l").unwrap_or(0);
    let lines = bytes[end..].split_inclusive(|byte| *byte == b'\n');
    let is_of_api = |line: &&[u8]| memchr::memmem::find(line, b"api   | ").is_some();
    lines.filter(is_of_api).flatten().copied().collect()
}

#[test]
fn ctrl_c_in_the_tui_of_up_stops_the_stack_and_the_plain_log_shows_it() {
    let project = TestProject::new();
    project.write("devstack.toml", STACK);
    let tui = project.devstack(["up", "--tui"]).terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["WARN at the end"]);
    tui.write(CTRL_C);
    assert_eq!(tui.wait_code(), 130);
    tui.wait_for("stopping: Ctrl-C");
    tui.wait_for("everything stopped");
    eventually("the end of the alternate screen", || (!is_alternate(&tui)).then_some(()));
    assert_eq!(tui.settings(), usual_settings(&project));
    project.finish();
}

#[test]
fn a_tui_that_is_ended_gives_the_terminal_back() {
    let project = TestProject::new();
    let up = up(&project);
    let usual = usual_settings(&project);
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let tui = project.devstack(["tui"]).terminal(SIZE.0, SIZE.1).start();
        wait_screen(&tui, SIZE, &["WARN at the end"]);
        tui.signal(signal);
        assert_eq!(tui.wait_code(), code);
        assert_eq!(tui.settings(), usual);
        eventually("the end of the alternate screen", || (!is_alternate(&tui)).then_some(()));
    }
    let tui = project.devstack(["tui"]).terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["WARN at the end"]);
    up.end();
    assert_eq!(tui.wait_code(), 0);
    tui.wait_for("the stack has stopped");
    assert_eq!(tui.settings(), usual);
    project.finish();
}

#[test]
fn without_a_terminal_or_a_stack_it_says_so() {
    let project = TestProject::new();
    let piped = project.devstack(["tui"]).run().expect_code(2);
    assert!(piped.stderr.contains("the TUI requires a terminal"), "{}", piped.stderr);
    project.write("devstack.toml", STACK);
    let none = project.devstack(["tui"]).terminal(SIZE.0, SIZE.1).start();
    assert_eq!(none.wait_code(), 3);
    none.wait_for("no stack is running in this directory");
    project.finish();
}
