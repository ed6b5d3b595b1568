//! `devstack attach`: the terminal of a service, from another one.

mod wire;

use crate::support::{
    CTRL_C, CTRL_D, CTRL_Z, RunningProgram, Signal, TestProject, TtySettings, require_program,
    service,
};
use wire::Wire;

/// What leaves.
const LEAVE: &[u8] = b"\x1d";

/// Says what it reads.
const ECHO: &str = r#"
    [services.echo]
    command = ["{misbehave}", "echo"]
    tty = true
    "#;

/// Keeps the stack going.
const OTHER: &str = "[services.other]\ncommand = [\"{misbehave}\", \"run\"]\n";

/// Says which signals it gets.
const TOLD: &str = r#"
    [services.told]
    command = ["{misbehave}", "signals", "INT", "QUIT", "TSTP", "WINCH"]
    tty = true
    stop = { signal = "KILL" }
    "#;

fn up(project: &TestProject, config: &str) -> RunningProgram {
    project.configure(config);
    project.up()
}

/// Attached in a terminal of 40 rows and 120 columns.
fn attach(project: &TestProject, service: &str) -> RunningProgram {
    let client = project.devstack(["attach", service]).terminal(40, 120).start();
    client.wait_for(&format!("[attached to {service}; press Ctrl-] to detach]"));
    client
}

fn leave(client: &RunningProgram) {
    client.write(LEAVE);
    assert_eq!(client.wait_code(), 0, "{:?}", client.lines());
    client.wait_for("[detached from ");
}

/// Those of a terminal in which nothing was changed.
fn usual_settings(project: &TestProject) -> TtySettings {
    let nothing = project.program("true").terminal(40, 120).start();
    assert_eq!(nothing.wait_code(), 0);
    nothing.settings()
}

fn pid(project: &TestProject, name: &str) -> serde_json::Value {
    service(&project.ps(), name)["pid"].clone()
}

#[test]
fn what_is_typed_is_echoed_and_arrives_and_leaving_changes_nothing() {
    let project = TestProject::new();
    let up = up(&project, &(ECHO.to_owned() + OTHER));
    let before = pid(&project, "echo");
    let client = attach(&project, "echo");
    // What was there before.
    client.wait_for("ready ");
    client.write(b"hallo\xc3\xa4\xc3\xb6\x7f\r");
    client.wait_line(|line| line == "got halloä");
    up.wait_for("echo  | got halloä");
    // Echoed once, by the terminal.
    let echoed = client.lines().into_iter().filter(|line| line.starts_with("hallo")).count();
    assert_eq!(echoed, 1, "{:?}", client.lines());
    leave(&client);
    assert_eq!(client.settings(), usual_settings(&project));
    assert_eq!(pid(&project, "echo"), before);
    // The end of the input is for the service, too.
    let client = attach(&project, "echo");
    client.write(CTRL_D);
    client.wait_for("end of input");
    client.wait_for("[echo exited (exit 0)");
    leave(&client);
    up.end();
    // The log has what was echoed, and line ends as the program wrote them.
    let stored = project.read(".devstack/logs/echo.log");
    assert!(stored.contains("hallo") && stored.contains("\ngot halloä\n"), "{stored:?}");
    assert!(!stored.contains('\r'), "{stored:?}");
    project.finish();
}

#[test]
fn control_keys_reach_the_program_and_not_devstack() {
    let project = TestProject::new();
    let up = up(&project, TOLD);
    let client = attach(&project, "told");
    for (keys, name) in [(CTRL_C, "INT"), (CTRL_Z, "TSTP"), (b"\x1c", "QUIT")] {
        client.write(keys);
        client.wait_for(&format!("got {name}"));
    }
    // Flow control is off: a user who types Ctrl-S and detaches would stop the service forever.
    client.write(b"\x13");
    client.write(CTRL_C);
    client.wait_count(2, "got INT");
    assert!(client.is_running() && up.is_running());
    leave(&client);
    project.end(&up);
}

#[test]
fn the_terminal_has_the_size_of_the_client_and_then_its_own() {
    let project = TestProject::with_config(TOLD);
    let up = project.devstack(["up"]).terminal(30, 100).start();
    up.wait_for("is up");
    up.wait_for("told | ready");
    let client = attach(&project, "told");
    client.wait_for("got WINCH 40 120");
    client.resize(50, 90);
    client.wait_for("got WINCH 50 90");
    // The size of devstack's terminal counts again when no client is attached.
    up.resize(33, 111);
    project.devstack(["restart", "told"]).run().expect_code(0);
    client.wait_for("[told is starting: run 2]");
    client.wait_count(2, "ready ");
    client.resize(51, 91);
    client.wait_for("got WINCH 51 91");
    leave(&client);
    up.wait_for("told | got WINCH 33 104");
    project.end(&up);
}

#[test]
fn a_client_that_is_killed_is_as_if_it_had_left() {
    let project = TestProject::new();
    let up = up(&project, TOLD);
    let client = attach(&project, "told");
    up.wait_for("told | got WINCH 40 120");
    client.signal(Signal::KILL);
    up.wait_for("told | got WINCH 24 80");
    project.end(&up);
}

#[test]
fn a_client_that_is_ended_gives_the_terminal_back() {
    let project = TestProject::new();
    let up = up(&project, ECHO);
    let settings = usual_settings(&project);
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let client = attach(&project, "echo");
        assert_ne!(client.settings(), settings);
        client.signal(signal);
        assert_eq!(client.wait_code(), code);
        assert_eq!(client.settings(), settings);
    }
    // And when its window is closed.
    let client = attach(&project, "echo");
    client.hang_up();
    assert_eq!(client.wait_code(), 129);
    project.end(&up);
}

#[test]
fn output_passes_as_it_is_and_what_it_switched_on_is_switched_off() {
    let project = TestProject::new();
    let config = r#"
        [services.paints]
        command = "read line; printf 'one\n\\033[?1049h\\033[?25l\\033[?1002;1006h\\033[32mgreen'; cat"
        tty = true
        "#;
    let up = up(&project, config);
    let client = attach(&project, "paints");
    client.write(b"\r");
    client.wait_for("green");
    let shown = client.stdout();
    assert!(
        shown.contains("one\r\n\x1b[?1049h\x1b[?25l\x1b[?1002;1006h\x1b[32mgreen"),
        "{shown:?}"
    );
    leave(&client);
    let shown = client.stdout();
    let undo = "\x1b[0m\x1b[?25h\x1b[?1002l\x1b[?1006l\x1b[?1049l";
    assert!(shown.contains(undo), "{shown:?}");
    project.end(&up);
}

#[test]
fn characters_colors_and_the_title_are_as_before() {
    let project = TestProject::new();
    let config = r#"
        [services.paints]
        command = "read line; printf '\\033[2;20h\\033)0\\016qq\\033]11;red\\007\\033]0;mine\\007done'; cat"
        tty = true
        "#;
    let up = up(&project, config);
    let client = attach(&project, "paints");
    client.write(b"\r");
    client.wait_for("done");
    leave(&client);
    let shown = client.stdout();
    let undo = "\x1b[0m\x0f\x1b[2l\x1b[20l\x1b)B\x1b]111\x1b\\";
    assert!(shown.contains(undo), "{shown:?}");
    // The title is saved before anything is shown, and restored at the end.
    assert!(shown.starts_with("\x1b[22;0t") && shown.ends_with("\x1b[23;0t"), "{shown:?}");
    project.end(&up);
}

#[test]
fn a_python_debugger_is_talked_to() {
    if require_program("python3").is_none() {
        return;
    }
    let project = TestProject::new();
    project.write(
        "app.py",
        "import signal\n\
         def add(a, b):\n    total = a + b\n    return total\n\
         print('before')\n\
         breakpoint()\n\
         x = add(2, 3)\n\
         print('sum', x)\n\
         while True:\n    signal.pause()\n",
    );
    let config = "[services.api]\ncommand = [\"python3\", \"app.py\"]\ntty = true\n";
    let up = up(&project, config);
    up.wait_for("api | before");
    let client = attach(&project, "api");
    // The prompt that waits has no line end.
    client.wait_line(|line| line.starts_with("(Pdb)"));
    let settings = client.settings();
    client.write(b"n\r");
    client.wait_for("-> print('sum', x)");
    client.write(b"p 6 * x\r");
    client.wait_line(|line| line == "30");
    // Keys of readline: what was typed is taken back.
    client.write(b"p 7xx\x7f\x7f * x\r");
    client.wait_line(|line| line == "35");
    assert_eq!(client.settings(), settings, "the program has a terminal of its own");
    client.write(b"c\r");
    client.wait_for("sum 5");
    leave(&client);
    up.wait_for("api | sum 5");
    // No line in the window starts where the previous one ended.
    assert!(!client.stdout().replace("\r\n", "").contains('\n'), "{:?}", client.stdout());
    project.end(&up);
}

#[test]
fn a_client_sees_one_run_after_the_other() {
    let project = TestProject::new();
    let up = up(&project, ECHO);
    let client = attach(&project, "echo");
    project.devstack(["restart", "echo"]).run().expect_code(0);
    client.wait_for("[echo exited");
    client.wait_for("[echo is starting: run 2]");
    client.wait_count(2, "ready ");
    client.write(b"two\r");
    client.wait_line(|line| line == "got two");
    project.devstack(["stop", "echo"]).run().expect_code(0);
    client.wait_count(2, "[echo exited");
    // No run: the bell, and no later run gets the keys.
    client.write(b"nobody\r");
    let late = project.devstack(["attach", "echo"]).terminal(24, 80).start();
    late.wait_for("[echo is not running (");
    project.devstack(["start", "echo"]).run().expect_code(0);
    for client in [&client, &late] {
        client.wait_for("[echo is starting: run 3]");
    }
    late.write(b"three\r");
    for client in [&client, &late] {
        client.wait_line(|line| line == "got three");
    }
    assert!(client.stdout().contains('\x07'));
    assert!(!client.stdout().contains("got nobody"));
    leave(&client);
    leave(&late);
    project.end(&up);
}

#[test]
fn several_share_a_terminal_of_the_smallest_size() {
    let project = TestProject::new();
    let config = format!("{TOLD}{ECHO}");
    let up = up(&project, &config);
    let first = attach(&project, "told");
    first.wait_for("got WINCH 40 120");
    let second = project.devstack(["attach", "told"]).terminal(60, 70).start();
    for client in [&first, &second] {
        client.wait_for("got WINCH 40 70");
    }
    leave(&second);
    first.wait_count(2, "got WINCH 40 120");
    let [one, two] = [attach(&project, "echo"), attach(&project, "echo")];
    one.write(b"from one\r");
    two.wait_line(|line| line == "got from one");
    two.write(b"from two\r");
    one.wait_line(|line| line == "got from two");
    for client in [&first, &one, &two] {
        leave(client);
    }
    project.end(&up);
}

#[test]
fn the_end_of_the_stack_is_the_end_of_being_attached() {
    let project = TestProject::new();
    let up_first = up(&project, ECHO);
    let client = attach(&project, "echo");
    project.devstack(["down"]).run().expect_code(0);
    assert_eq!(client.wait_code(), 0);
    client.wait_for("[the stack has stopped]");
    assert_eq!(client.settings(), usual_settings(&project));
    up_first.wait_exit();

    let killed = up(&project, ECHO);
    let client = attach(&project, "echo");
    killed.kill9();
    assert_eq!(client.wait_code(), 1);
    client.wait_for("error: lost the stack: its devstack was killed");
    assert_eq!(client.settings(), usual_settings(&project));
    project.finish();
}

#[test]
fn an_edit_takes_the_terminal_away_and_gives_it_back() {
    let project = TestProject::new();
    let edit = |from: &str, to: &str| ECHO.replace(from, to) + OTHER;
    let up = up(&project, &edit("", ""));
    let [first, second] = [attach(&project, "echo"), attach(&project, "echo")];
    project.configure(&edit("tty = true", ""));
    for client in [&first, &second] {
        assert_eq!(client.wait_code(), 1);
        client.wait_for("error: echo has no terminal");
    }
    project.configure(&edit("", ""));
    up.wait_count(3, "echo  | ready");
    let client = attach(&project, "echo");
    project.configure(&edit("echo]", "sound]"));
    assert_eq!(client.wait_code(), 1);
    client.wait_for("error: echo is no longer in the stack");
    project.end(&up);
}

#[test]
fn what_cannot_be_attached_to_is_said() {
    let project = TestProject::new();
    let in_terminal = |service: &str| project.devstack(["attach", service]).terminal(40, 120).run();
    assert!(
        in_terminal("api")
            .expect_code(3)
            .stdout
            .contains("error: no stack is running in this directory")
    );
    let up = up(
        &project,
        "[services.plain]\ncommand = [\"{misbehave}\", \"run\"]\n\
         [services.many]\ncommand = [\"{misbehave}\", \"run\"]\ntty = true\nreplicas = 2\n",
    );
    let plain = in_terminal("plain").expect_code(1).stdout;
    assert!(
        plain.contains(
            "error: plain has no terminal\r\n  help: set `tty = true` under [services.plain]"
        ),
        "{plain}"
    );
    let many = in_terminal("many").expect_code(2).stdout;
    assert!(
        many.contains("error: many has 2 replicas\r\n  help: choose one of many-1, many-2"),
        "{many}"
    );
    let unknown = in_terminal("plian").expect_code(3).stdout;
    assert!(unknown.contains("did you mean `plain`?"), "{unknown}");
    let piped = project.devstack(["attach", "many-1"]).run().expect_code(2);
    assert!(
        piped.stderr.contains("error: `devstack attach` requires a terminal"),
        "{}",
        piped.stderr
    );
    leave(&attach(&project, "many-2"));
    project.end(&up);
}

#[test]
fn a_client_that_does_not_read_holds_up_neither_service_nor_log() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let up = up(
        &project,
        r#"
        [services.flood]
        command = "{misbehave} gate gate; seq 1 200000; echo flood is over; exec cat"
        tty = true
        "#,
    );
    let mut slow = Wire::attach(&project, "flood");
    gate.open();
    up.wait_for("flood | flood is over");
    // It gets the end, and learns exactly how much it missed.
    let shown = slow.read_until(b"flood is over\r\n");
    let numbers: usize = (1..=200_000).map(|n: u32| n.to_string().len() + 2).sum();
    let other = "waiting gate\r\npassed gate\r\nflood is over\r\n".len();
    assert!(slow.missed > 0);
    assert_eq!(shown.len() as u64 + slow.missed, (numbers + other) as u64);
    project.end(&up);
}

#[test]
fn a_service_that_does_not_read_delays_nothing() {
    let project = TestProject::new();
    // Without the line discipline, which would throw away what is too long a line.
    let up = up(
        &project,
        r#"
        [services.deaf]
        command = "stty raw -echo; exec {misbehave} run"
        tty = true
        "#,
    );
    up.wait_for("deaf | ready");
    let mut pasting = Wire::attach(&project, "deaf");
    let other = attach(&project, "deaf");
    for _ in 0..64 {
        pasting.type_in(&[b'x'; 64 * 1024]);
    }
    // The bell reports that it is too much.
    pasting.read_until(b"\x07");
    other.write(b"more\r");
    project.ps();
    leave(&other);
    drop(pasting);
    project.end(&up);
}

#[test]
fn a_large_paste_arrives_whole_when_it_is_read() {
    let project = TestProject::new();
    let mut gate = project.gate("gate");
    let up = up(
        &project,
        r#"
        [services.reader]
        command = "stty raw -echo; echo raw; {misbehave} gate gate; head -c 600000 | cksum > sum; echo whole; exec cat"
        tty = true
        "#,
    );
    up.wait_for("reader | raw");
    let mut pasting = Wire::attach(&project, "reader");
    let text: Vec<u8> = (0..600_000u32).map(|at| b'a' + (at % 23) as u8).collect();
    text.chunks(10_000).for_each(|part| pasting.type_in(part));
    gate.open();
    up.wait_for("reader | whole");
    std::fs::write(project.path("text"), &text).unwrap();
    let expected = project.program("/bin/sh").args(["-c", "cksum < text"]).run().stdout;
    assert_eq!(project.read("sum"), expected);
    project.end(&up);
}

#[test]
fn what_was_typed_for_one_run_no_other_gets() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.once]
        command = "stty raw -echo; test -e deaf || { touch deaf; exec {misbehave} signals WINCH; }; echo reads; exec cat"
        tty = true
        "#,
    );
    up.wait_for("once | ready");
    let mut wire = Wire::attach(&project, "once");
    // More than a terminal takes, less than what rings the bell.
    for _ in 0..8 {
        wire.type_in(&[b'x'; 64 * 1024]);
    }
    // Frames are taken in order: all of it has arrived at devstack.
    wire.resize(30, 90);
    wire.read_until(b"got WINCH 30 90\n");
    project.devstack(["restart", "once"]).run().expect_code(0);
    up.wait_for("once | reads");
    wire.type_in(b"second");
    let shown = String::from_utf8_lossy(&wire.read_until(b"second")).into_owned();
    assert!(!shown.contains('x'), "{shown:?}");
    drop(wire);
    project.end(&up);
}

#[test]
fn the_end_that_ends_the_stack_says_how_too() {
    let project = TestProject::new();
    let up = up(
        &project,
        "[services.last]\ncommand = \"read line; exit 3\"\ntty = true\nrestart = \"no\"\n",
    );
    let client = attach(&project, "last");
    client.write(b"\r");
    client.wait_for("[last exited (exit 3)");
    client.wait_for("[the stack has stopped]");
    assert_eq!((client.wait_code(), up.wait_code()), (0, 1));
    project.finish();
}

#[test]
fn questions_of_before_are_not_asked_again() {
    let project = TestProject::new();
    // Where the cursor is, what the terminal is, its colours, its clipboard.
    let asks = r"a\\033[6nb\\033[c\\033]11;?\\007\\033]52;c;?\\007\\033[31mc\\n";
    let up = up(
        &project,
        &format!("[services.asks]\ncommand = \"printf '{asks}'; exec cat\"\ntty = true\n"),
    );
    up.wait_for("asks | abc");
    let mut wire = Wire::attach(&project, "asks");
    assert_eq!(wire.read_until(b"c\r\n"), b"ab\x1b[31mc\r\n");
    wire.type_in(b"x\r");
    wire.read_until(b"x\r\nx\r\n");
    project.end(&up);
}

#[test]
fn a_full_screen_program_of_before_is_seen_as_it_is() {
    let project = TestProject::new();
    let up = up(
        &project,
        r#"
        [services.full]
        command = "printf 'before\\n\\033[?1049h\\033[?25ldrawn\\n'; exec {misbehave} signals WINCH"
        tty = true
        stop = { signal = "KILL" }
        [services.other]
        command = ["{misbehave}", "run"]
        "#,
    );
    up.wait_for("full  | ready");
    // Its terminal has the size of this client already, so it would not redraw on its own.
    let mut wire = Wire::attach(&project, "full");
    let shown = wire.read_until(b"got WINCH 24 80\r\n");
    let shown = String::from_utf8(shown).expect("text");
    let drawn = shown.strip_prefix("before\r\n\x1b[?25l\x1b[?1049h").expect("as it is now");
    assert!(drawn.starts_with("got WINCH 23 80"), "{drawn:?}");
    project.devstack(["stop", "full"]).run().expect_code(0);
    assert!(wire.read_until(b"\x1b[?1049l").ends_with(b"\x1b[0m\x1b[?25h\x1b[?1049l"));
    let client = project.devstack(["attach", "full"]).terminal(40, 120).start();
    client.wait_for("full is not running");
    client.wait_for("before");
    leave(&client);
    assert!(!client.lines().iter().any(|line| line.contains("drawn")), "{:?}", client.lines());
    project.end(&up);
}

#[test]
fn attaching_in_the_terminal_of_a_service_is_refused_and_floods_nothing() {
    let project = TestProject::new();
    let devstack = env!("CARGO_BIN_EXE_devstack");
    let up = up(
        &project,
        &format!(
            "[services.loop]\ncommand = \"read line; {devstack} attach $line; echo code $? $line; exec cat\"\ntty = true\n\
             [services.there]\ncommand = [\"{{misbehave}}\", \"echo\"]\ntty = true\n"
        ),
    );
    for name in ["loop", "there"] {
        let client = attach(&project, "loop");
        client.write(format!("{name}\r").as_bytes());
        client.wait_for("this is loop's own terminal");
        client.wait_for(&format!("code 2 {name}"));
        leave(&client);
        project.devstack(["restart", "loop"]).run().expect_code(0);
    }
    project.end(&up);
}
