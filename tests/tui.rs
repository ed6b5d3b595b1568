//! The TUI: `devstack tui` and `up --tui`, in a real terminal.

use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;

use crate::support::{
    CTRL_C, CTRL_Z, RunningProgram, Signal, Source, TestProject, TtySettings, eventually,
    kill_processes, service,
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
    project.configure(STACK);
    let up = project.up();
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

    tui.write(b":requests\r");
    wait_screen(&tui, SIZE, &["have no names"]);

    tui.resize(40, 130);
    wait_screen(&tui, (40, 130), &["MEM ── log"]);
    tui.write(b"q");
    assert_eq!(tui.wait_code(), 0);
    assert_eq!(tui.settings(), usual_settings(&project));
    assert!(!is_alternate(&tui));
    assert_eq!(service(&project.ps(), "api")["phase"], "ready");
    project.end(&up);
}

#[test]
fn a_search_finds_lines_of_devstack_and_lines_far_away() {
    let project = TestProject::new();
    project.write(
        "devstack.toml",
        r#"
        [services.api]
        command = "echo needle in the hay; seq 60000; echo at the end; exec tail -f /dev/null"
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("api | at the end");
    let tui = project.devstack(["tui"]).terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["at the end", "following"]);
    tui.write(b"/needle\r");
    wait_screen(&tui, SIZE, &["needle in the hay", "paused"]);
    tui.write(b"G");
    wait_screen(&tui, SIZE, &["at the end", "following"]);
    // What devstack says is searched like what services print.
    tui.write(b"/^starting\r");
    wait_screen(&tui, SIZE, &["* starting", "needle in the hay", "paused"]);
    tui.write(b"N");
    wait_screen(&tui, SIZE, &["no later line matches"]);
    // So is the filter.
    tui.write(b"fstarting\r");
    eventually("the filtered log", || {
        let screen = screen(&tui, SIZE);
        (screen.contains("* starting") && !screen.contains("needle in")).then_some(())
    });
    // A refusal comes with its remedy, however long it is.
    tui.write(b"\r");
    wait_screen(&tui, SIZE, &["api has no terminal", "tty = true"]);
    tui.write(b"q");
    assert_eq!(tui.wait_code(), 0);
    up.end();
    project.finish();
}

#[test]
fn the_plain_log_comes_back_as_if_there_had_been_no_tui() {
    let project = TestProject::new();
    let plain = |line: &str| line.starts_with("api   | ");
    project.configure(STACK);
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
    let project = TestProject::with_config(STACK);
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
fn a_tui_that_is_killed_gives_the_terminal_back() {
    let project = TestProject::with_config(STACK);
    let usual = usual_settings(&project);
    // In a shell: the end of the first process of a terminal would end the terminal.
    let script = r#""$0" up --tui; echo the shell goes on; read -r line"#;
    let shell = project.program("sh").args(["-c", script, env!("CARGO_BIN_EXE_devstack")]);
    let shell = shell.terminal(SIZE.0, SIZE.1).start();
    wait_screen(&shell, SIZE, &["WARN at the end", "q plain log"]);
    assert!(is_alternate(&shell));
    let pid = project.ps()["supervisor_pid"].as_u64().expect("a pid");
    kill_processes(&[pid.try_into().expect("a pid")]);
    shell.wait_for("the shell goes on");
    eventually("the terminal as before", || {
        (!is_alternate(&shell) && shell.settings() == usual).then_some(())
    });
    shell.write(b"\n");
    assert_eq!(shell.wait_code(), 0);
    // What the killed one left is taken over.
    project.devstack(["up", "-d"]).run().expect_code(0);
    project.devstack(["down"]).run().expect_code(0);
    project.finish();
}

#[test]
fn without_a_terminal_or_a_stack_it_says_so() {
    let project = TestProject::new();
    let piped = project.devstack(["tui"]).run().expect_code(2);
    assert!(piped.stderr.contains("the TUI requires a terminal"), "{}", piped.stderr);
    project.configure(STACK);
    let none = project.devstack(["tui"]).terminal(SIZE.0, SIZE.1).start();
    assert_eq!(none.wait_code(), 3);
    none.wait_for("no stack is running in this directory");
    project.finish();
}

/// A program is stopped: state T.
fn is_stopped(program: &RunningProgram) -> bool {
    let pid = program.pid().to_string();
    let ps = std::process::Command::new("ps").args(["-o", "state=", "-p", &pid]).output();
    let output = ps.expect("ps");
    String::from_utf8_lossy(&output.stdout).trim_start().starts_with('T')
}

#[test]
fn ctrl_z_gives_the_terminal_back_until_it_is_continued() {
    let project = TestProject::new();
    let up = up(&project);
    let usual = usual_settings(&project);
    let tui = project.devstack(["tui"]).terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["WARN at the end", "following"]);
    for _ in 0..2 {
        tui.write(CTRL_Z);
        eventually("the TUI to be stopped", || is_stopped(&tui).then_some(()));
        assert_eq!(tui.settings(), usual);
        eventually("the end of the alternate screen", || (!is_alternate(&tui)).then_some(()));
        assert!(tui.signal(Signal::CONT));
        eventually("the alternate screen", || is_alternate(&tui).then_some(()));
        wait_screen(&tui, SIZE, &["WARN at the end", "following"]);
        assert_ne!(tui.settings(), usual);
    }
    // One that was stopped by others did not give it back, and paints it again.
    tui.stop();
    let here = tui.bytes(Source::Stdout).len();
    assert!(tui.signal(Signal::CONT));
    eventually("a new picture", || {
        let bytes = tui.bytes(Source::Stdout);
        memchr::memmem::find(&bytes[here..], b"following").map(drop)
    });
    tui.write(b"q");
    assert_eq!(tui.wait_code(), 0);
    assert_eq!(tui.settings(), usual);
    project.end(&up);
}

#[test]
fn a_storm_of_resizes_ends_with_the_right_picture() {
    let project = TestProject::new();
    let up = up(&project);
    let tui = project.devstack(["tui"]).terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["WARN at the end", "following"]);
    for count in 0..400_u16 {
        tui.resize(1 + count * 37 % 150, 1 + count * 53 % 400);
        if count % 50 == 0 {
            tui.write(b"j");
        }
    }
    tui.resize(31, 111);
    wait_screen(&tui, (31, 111), &["WARN at the end", "MEM ── log", "following"]);
    tui.write(b"?");
    wait_screen(&tui, (31, 111), &["help"]);
    tui.write(b"qq");
    assert_eq!(tui.wait_code(), 0);
    assert_eq!(tui.settings(), usual_settings(&project));
    project.end(&up);
}

#[test]
fn enter_attaches_to_a_service_and_its_detach_key_comes_back() {
    let project = TestProject::with_config(
        "[services.echo]\ncommand = [\"{misbehave}\", \"echo\"]\ntty = true\n[services.other]\ncommand = [\"{misbehave}\", \"run\"]\n",
    );
    let up = project.up();
    let tui = project.devstack(["tui"]).terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["echo", "other", "following"]);
    for word in ["apple", "quince"] {
        tui.write(b"\r");
        let attached = "[attached to echo; press Ctrl-] to detach]";
        wait_screen(&tui, SIZE, &[attached]);
        // What are keys of the TUI is text there.
        tui.write(format!("{word}\r").as_bytes());
        up.wait_for(&format!("echo  | got {word}"));
        tui.write(b"\x1d");
        let screen = wait_screen(&tui, SIZE, &["other", "following", &format!("got {word}")]);
        assert!(!screen.contains(attached), "{screen}");
    }
    // Keys are those of the TUI again.
    tui.write(b"w");
    wait_screen(&tui, SIZE, &["why echo"]);
    tui.write(b"qq");
    assert_eq!(tui.wait_code(), 0);
    assert_eq!(tui.settings(), usual_settings(&project));
    project.end(&up);
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_shown() {
    let project = TestProject::new();
    let up = up(&project);
    let tui = project.devstack(["tui"]).env("DEVSTACK_TEST_TUI_PANIC", "yes");
    let tui = tui.terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["WARN at the end", "following"]);
    tui.resize(SIZE.0, SIZE.1 + 1);
    assert_ne!(tui.wait_code(), 0);
    tui.wait_for("a test asked for a panic");
    assert!(!is_alternate(&tui));
    assert_eq!(tui.settings(), usual_settings(&project));
    assert_eq!(service(&project.ps(), "api")["phase"], "ready");
    up.end();

    // Under `up --tui`, the plain log takes over.
    let tui = project.devstack(["up", "--tui"]).env("DEVSTACK_TEST_TUI_PANIC", "yes");
    let tui = tui.terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["WARN at the end", "q plain log"]);
    tui.resize(SIZE.0, SIZE.1 + 1);
    tui.wait_for("a test asked for a panic");
    tui.wait_for("api   | WARN at the end");
    eventually("the end of the alternate screen", || (!is_alternate(&tui)).then_some(()));
    tui.write(CTRL_C);
    assert_eq!(tui.wait_code(), 130);
    assert_eq!(tui.settings(), usual_settings(&project));
    project.finish();
}

/// Waits until a program has written these bytes.
#[track_caller]
fn wait_bytes(program: &RunningProgram, wanted: &[u8]) {
    eventually(&format!("{:?}", String::from_utf8_lossy(wanted)), || {
        memchr::memmem::find(&program.bytes(Source::Stdout), wanted)
    });
}

fn has_colors(program: &RunningProgram) -> bool {
    let bytes = program.bytes(Source::Stdout);
    [&b"\x1b[38;5;"[..], b"\x1b[48;5;"].iter().any(|it| memchr::memmem::find(&bytes, it).is_some())
}

#[test]
fn keys_copy_open_debug_and_take_the_mouse() {
    let project = TestProject::new();
    let opened = project.path("opened");
    let script = format!("#!/bin/sh\necho \"$@\" >> '{}'\n", opened.display());
    let browser = project.write("browser.sh", &script);
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o755)).expect("ours");
    project.write(
        "devstack.toml",
        r#"
        [stack.proxy]
        enabled = false
        [services.says]
        command = "echo the last words; exec tail -f /dev/null"
        [services.web]
        command = ["{misbehave}", "listen", "--http"]
        port = "auto"
        debug = { command = ["{misbehave}", "listen", "--http"] }
        "#,
    );
    let up = project.devstack(["up"]).start();
    up.wait_for("is up");
    let tui = project.devstack(["tui"]).env("BROWSER", browser).terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &[">web", "the last words", "following"]);
    assert!(has_colors(&tui));

    tui.write(b"/last words\r");
    wait_screen(&tui, SIZE, &["paused"]);
    tui.write(b"y");
    // The line that was found, in base64.
    wait_bytes(&tui, b"\x1b]52;c;dGhlIGxhc3Qgd29yZHM=\x07");

    tui.write(b"o");
    let url = service(&project.ps(), "web")["url"].clone();
    eventually("the browser", || {
        let opened = std::fs::read_to_string(&opened).ok()?;
        (opened.trim() == url.as_str().expect("a URL")).then_some(())
    });

    tui.write(b"d");
    project.wait_ps(|ps| service(ps, "web")["mode"] == "debug");
    tui.write(b":end debug");
    wait_screen(&tui, SIZE, &["end debug mode of web"]);
    tui.write(b"\r");
    project.wait_ps(|ps| service(ps, "web")["mode"] != "debug");

    // The mouse is the terminal's own until it is asked for.
    let taken = b"\x1b[?1000h";
    assert!(memchr::memmem::find(&tui.bytes(Source::Stdout), taken).is_none());
    tui.write(b"m");
    wait_bytes(&tui, taken);
    tui.write(b"\x1b[<0;3;2M");
    wait_screen(&tui, SIZE, &[">says"]);
    tui.write(b"m");
    wait_screen(&tui, SIZE, &["the mouse is the terminal's again"]);
    tui.write(b"q");
    assert_eq!(tui.wait_code(), 0);

    let plain = project.devstack(["tui"]).env("NO_COLOR", "1").terminal(SIZE.0, SIZE.1).start();
    wait_screen(&plain, SIZE, &[">web", "the last words", "following"]);
    plain.write(b"q");
    assert_eq!(plain.wait_code(), 0);
    assert!(!has_colors(&plain));
    up.end();
    project.finish();
}

#[test]
fn an_action_is_run_and_ended_from_the_palette() {
    let project = TestProject::with_config(
        r#"
        [services.api]
        command = ["{misbehave}", "run"]
        [services.api.actions]
        greet = { command = "echo good morning, $1; exit 3", args = ["who"] }
        stays = ["{misbehave}", "run"]
        "#,
    );
    let up = project.up();
    let tui = project.devstack(["tui"]).terminal(SIZE.0, SIZE.1).start();
    wait_screen(&tui, SIZE, &["api", "following"]);
    tui.write(b":do api greet\r");
    wait_screen(&tui, SIZE, &["greet"]);
    tui.write(b"'dear user'\r");
    wait_screen(&tui, SIZE, &["greet of api", "good morning, dear user", "[exit 3]"]);
    tui.write(b"q");
    wait_screen(&tui, SIZE, &["[greet] good morning, dear user", "following"]);
    let running = |ps: &serde_json::Value| {
        let actions = service(ps, "api")["actions"].as_array().cloned().unwrap_or_default();
        actions.iter().any(|action| !action["running"].is_null())
    };
    tui.write(b":do api stays\r");
    project.wait_ps(running);
    // The palette offers what the screen knows.
    eventually("an entry for its end", || {
        tui.write(b":end api stays");
        let offered = wait_screen(&tui, SIZE, &["end api stays"]).contains("the action that runs");
        tui.write(if offered { b"\r" } else { b"\x1b" });
        offered.then_some(())
    });
    project.wait_ps(|ps| !running(ps));
    wait_screen(&tui, SIZE, &["SIGTERM"]);
    tui.write(b"qq");
    assert_eq!(tui.wait_code(), 0);
    project.end(&up);
}
