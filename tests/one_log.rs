//! One log: aligned, whole, complete, in a terminal, in a pipe and on disk.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::content::{Flavour, Sum, line};
use crate::support::{
    RunningProgram, Source, TestProject, eventually, require_program, starting, strip_ansi,
};

/// How many lines a flood prints in these tests, and how long each is.
const LINES: u64 = 20_000;
const LEN: usize = 70;

/// What a service printed there, without the start of the lines.
fn of<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix("| "))
        .collect()
}

/// Fails unless these are the lines of a flood, each whole, none lost, in order within each parity.
#[track_caller]
fn assert_flood(shown: &[&str], count: u64) {
    let mut next = [0, 1];
    for text in shown {
        let index: u64 = text
            .get(..8)
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("torn: {text:?}"));
        let lane = &mut next[(index % 2) as usize];
        assert_eq!(index, *lane, "lost or mixed near {text:?}");
        assert_eq!(text.as_bytes(), line(index, LEN, Flavour::Text), "line {index}");
        *lane += 2;
    }
    assert_eq!(shown.len() as u64, count);
}

#[test]
fn two_floods_at_once_are_whole_and_complete() {
    let project = TestProject::with_config(&format!(
        r#"
        [services.one]
        command = ["{{misbehave}}", "flood", "--lines", "{LINES}", "--len", "{LEN}", "--both"]
        [services.other]
        command = ["{{misbehave}}", "flood", "--lines", "{LINES}", "--len", "{LEN}", "--both"]
        "#
    ));
    let ended = project.devstack(["up"]).run().expect_code(0);
    for name in ["one", "other"] {
        assert_flood(&of(&ended.stdout, name), LINES);
        let kept = project.devstack(["logs", "-n", "1000000", name]).run().expect_code(0);
        assert_flood(&of(&kept.stdout, name), LINES);
    }
    project.finish();
}

#[test]
fn the_last_words_of_every_service_are_shown() {
    let project = TestProject::new();
    let talk =
        "trap '{misbehave} flood --lines 5000 --len 70; exit 0' TERM; {misbehave} run & wait";
    project.configure(&format!(
        "[services.one]\ncommand = \"{talk}\"\n[services.other]\ncommand = \"{talk}\"\n"
    ));
    let up = project.devstack(["up"]).start();
    up.wait_for("one   | ready");
    up.wait_for("other | ready");
    up.end();
    up.wait_closed();
    for name in ["one", "other"] {
        assert_flood(&of(&up.stdout(), name)[1..], 5000);
    }
    project.finish();
}

#[test]
fn log_files_hold_exactly_what_was_written() {
    let project = TestProject::with_config(
        r#"
        [services.text]
        command = ["{misbehave}", "flood", "--lines", "9999", "--len", "100", "--sum", "text.sum"]
        [services.binary]
        command = ["{misbehave}", "flood", "--lines", "5000", "--len", "300", "--binary", "--sum", "binary.sum"]
        [services.escapes]
        command = ["{misbehave}", "flood", "--lines", "5000", "--escapes", "--stderr", "--sum", "escapes.sum"]
        [services.endless]
        command = ["{misbehave}", "flood", "--lines", "5000", "--no-newline", "--sum", "endless.sum"]
        "#,
    );
    project.devstack(["up"]).run().expect_code(0);
    for name in ["text", "binary", "escapes", "endless"] {
        let bytes =
            std::fs::read(project.path(format!(".devstack/logs/{name}.log"))).expect("a log");
        let mut sum = Sum::EMPTY;
        sum.add(&bytes);
        let stream = if name == "escapes" { "stderr" } else { "stdout" };
        let written = project.read(format!("{name}.sum"));
        let expected =
            written.lines().find_map(|line| line.strip_prefix(stream)?.strip_prefix(' '));
        assert_eq!(expected, Some(sum.to_string().as_str()), "{name}");
    }
    project.finish();
}

#[test]
fn a_reader_that_stands_still_stops_no_service() {
    let project = TestProject::with_config(&format!(
        r#"
        [services.one]
        command = "{{misbehave}} flood --lines 200000 --len {LEN} && echo x > one.done"
        [services.other]
        command = "{{misbehave}} flood --lines 200000 --len {LEN} && echo x > other.done"
        "#
    ));
    let mut command = project.devstack(["up"]).command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut up = starting::spawn(&mut command).expect("devstack starts");
    eventually("both to have written all", || {
        let done = |name: &str| project.path(name).exists();
        (done("one.done") && done("other.done")).then_some(())
    });
    // Now the reader continues, and has missed nothing.
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut rest = Vec::new();
    for text in BufReader::new(up.stdout.take().expect("a pipe")).lines().map_while(Result::ok) {
        match text.split_once(" | ") {
            Some((name, text)) => {
                shown.entry(name.trim_end().to_owned()).or_default().push(text.to_owned())
            }
            None => rest.push(text),
        }
    }
    assert_eq!(up.wait().expect("our child").code(), Some(0), "{rest:#?}");
    for name in ["one", "other"] {
        let lines: Vec<&str> = shown[name].iter().map(String::as_str).collect();
        assert_flood(&lines, 200_000);
    }
    project.finish();
}

/// What three services look like in a terminal of this environment.
fn painted(name: &str, value: &str) -> (TestProject, RunningProgram) {
    let project = TestProject::with_config(
        r#"
        [services.a]
        command = ["{misbehave}", "say", "one", "two"]
        [services.longer]
        command = ["{misbehave}", "say", "wrong", "--stderr"]
        [services.third]
        command = ["{misbehave}", "say", "x"]
        color = "red"
        "#,
    );
    let up = project.devstack(["up"]).env(name, value).terminal(30, 100).start();
    assert_eq!(up.wait_code(), 0);
    up.wait_closed();
    (project, up)
}

#[test]
fn names_are_aligned_and_have_stable_colours() {
    let (project, up) = painted("ODD", "1");
    let text = up.stdout();
    let line = |end: &str| {
        let end = format!("{end}\r");
        // Of the services; the summary has no bars.
        let found = text.split('\n').find(|line| line.contains("| ") && line.ends_with(&end));
        found.unwrap_or_else(|| panic!("no {end:?} in {text:?}")).to_owned()
    };
    let start =
        |end: &str| line(end).strip_suffix(&format!("{end}\r")).expect("its end").to_owned();
    assert_eq!(start("one"), start("two"));
    assert!(start("one").starts_with("\x1b["), "{text:?}");
    assert_eq!(strip_ansi(start("one").as_bytes()), "a      | ");
    assert_eq!(strip_ansi(start("wrong").as_bytes()), "longer | ");
    let color = |end: &str| start(end)[..start(end).find('m').expect("a colour") + 1].to_owned();
    assert_ne!(color("one"), color("wrong"));
    assert_eq!(color("x"), "\x1b[31m");
    // devstack's own lines look different from those of services.
    assert!(text.contains("* "), "{text:?}");
    // The same again the next time.
    let (other, again) = painted("ODD", "2");
    let found = again.stdout();
    assert!(found.split('\n').any(|shown| shown == line("one")), "{found:?}");
    other.finish();
    project.finish();
}

#[test]
fn no_color_means_none_and_a_pipe_has_none() {
    let (project, up) = painted("NO_COLOR", "1");
    assert!(!up.stdout().contains('\x1b'), "{:?}", up.stdout());
    assert!(up.stdout().contains("a      | one\r\n"), "{:?}", up.stdout());
    let ended = project.devstack(["up"]).run().expect_code(0);
    assert!(!ended.stdout.contains('\x1b'), "{:?}", ended.stdout);
    assert!(ended.stdout.contains("longer | wrong\n"), "{:?}", ended.stdout);
    assert_eq!(ended.stderr, "");
    let ended = project.devstack(["up", "--timestamps"]).run().expect_code(0);
    let shaped = |line: &str| {
        let shape: String =
            line.chars().take(9).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        shape == "00:00:00 "
    };
    assert!(ended.stdout.lines().all(shaped), "{}", ended.stdout);
    project.finish();
}

#[test]
fn a_terminal_obeys_no_service() {
    let project = TestProject::with_config(
        "[services.evil]\ncommand = [\"{misbehave}\", \"flood\", \"--lines\", \"1000\", \"--escapes\"]\n",
    );
    let up = project.devstack(["up"]).terminal(30, 100).start();
    assert_eq!(up.wait_code(), 0);
    up.wait_closed();
    let bytes = up.bytes(Source::Stdout);
    let mut rest = &bytes[..];
    while let Some(at) = memchr::memchr(0x1b, rest) {
        rest = &rest[at + 1..];
        let end = rest.iter().position(|byte| byte.is_ascii_alphabetic()).expect("its end");
        let colour = rest[0] == b'[' && rest[end] == b'm';
        assert!(colour, "{:?}", String::from_utf8_lossy(&rest[..rest.len().min(40)]));
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains('\u{9b}') && !text.contains('\x07') && !text.contains("evil.example"));
    assert!(text.contains("\x1b[31m") && text.contains("\x1b[1;38;5;200m"), "colours stay");
    let kept = project.devstack(["logs", "-n", "1000"]).terminal(30, 100).start();
    assert_eq!(kept.wait_code(), 0);
    kept.wait_closed();
    assert!(!kept.stdout().contains("\x1b]") && !kept.stdout().contains("\x1b[6n"));
    project.finish();
}

/// What a terminal can be made to do: answer as if the user typed, change its state, store data.
const HOSTILE: [&[u8]; 30] = [
    b"\x1b[6n",
    b"\x1b[5n",
    b"\x1b[c",
    b"\x1b[>c",
    b"\x1b[=c",
    b"\x1bZ",
    b"\x1b[21t",
    b"\x1b[18t",
    b"\x1b[?6n",
    b"\x1b[>q",
    b"\x1b[?25$p",
    b"\x1b]10;?\x07",
    b"\x1b]11;?\x1b\\",
    b"\x1b]4;1;?\x07",
    b"\x1bP$qm\x1b\\",
    b"\x1bP+q544e\x1b\\",
    b"\xc2\x9b6n",
    b"\x9b6n",
    b"\xc2\x90$qm\xc2\x9c",
    b"\x05",
    b"\x1b]2;stolen\x07",
    b"\x1bkstolen\x1b\\",
    b"\x1b]52;c;c3RvbGVu\x07",
    b"\x1b[?1049h",
    b"\x1b[?1000h\x1b[?1006h",
    b"\x1b[?25l",
    b"\x1b[2J\x1b[H",
    b"\x1b[5;6r\x0e\x1b(0",
    b"\x1b[4h\x1b[?7l\x1b[?1h\x1b=",
    b"\x1bc",
];

#[test]
fn a_real_terminal_is_neither_asked_nor_changed() {
    let Some(tmux) = require_program("tmux") else { return };
    let project = TestProject::new();
    let mut bytes = Vec::new();
    for sequence in HOSTILE {
        // Whole, cut by a line end, and with a color that is never reset.
        let (start, end) = sequence.split_at(sequence.len() / 2);
        bytes.extend([b"\x1b[31m>", sequence, b"<\n", start, b"\n", end, b"\n"].concat());
    }
    bytes.extend(0..=255);
    bytes.extend(b"\nlast\n");
    std::fs::write(project.path("hostile"), bytes).expect("the project is ours");
    project.configure("[services.evil]\nkind = \"task\"\ncommand = [\"cat\", \"hostile\"]\n");
    // The answers of the terminal are in its input, before the answer to the last question, which ends with `c`.
    project.write(
        "script",
        r#"
        stty raw -echo
        "$1" up
        "$1" logs -n all
        printf '\033[c'
        while [ "$byte" != c ]; do
            byte=$(dd bs=1 count=1 2>/dev/null)
            printf '%s' "$byte" >> typed
        done
        tmux display-message -p '#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{wrap_flag} #{insert_flag} #{scroll_region_upper} #{pane_title}' > state
        tmux show-buffer > buffer 2>/dev/null
        tmux capture-pane -p -e > screen
        echo x > done
        "#,
    );
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("tmux");
    let tmux = project.program(tmux).args(["-f", "/dev/null", "-S"]).args([&socket]).args([
        "set-option",
        "-g",
        "set-clipboard",
        "on",
        ";",
        "new-session",
        "-d",
        "-x",
        "100",
        "-y",
        "200",
        "/bin/sh",
        "script",
        env!("CARGO_BIN_EXE_devstack"),
    ]);
    let started = tmux.start();
    assert_eq!(started.wait_code(), 0, "{}", started.stderr());
    eventually("the end of the script", || project.path("done").exists().then_some(()));
    let typed = project.read("typed");
    assert!(typed.starts_with("\x1b[?") && typed.matches('\x1b').count() == 1, "{typed:?}");
    let state = project.read("state");
    assert!(state.starts_with("0 1 0 1 0 0 ") && !state.contains("stolen"), "{state:?}");
    assert_eq!(project.read("buffer"), "");
    let screen = project.read("screen");
    assert_eq!(screen.matches("last").count(), 2, "{screen}");
    project.finish();
}

#[test]
fn odd_lines_are_shown_whole() {
    let project = TestProject::with_config(
        r#"
        [services.odd]
        command = '''printf 'no end'; printf '\n\n\n'; printf 'cr\r\n'; printf '\377\376 bytes\n'; printf 'last' '''
        "#,
    );
    let ended = project.devstack(["up"]).start();
    assert_eq!(ended.wait_code(), 0);
    ended.wait_closed();
    let bytes = ended.bytes(Source::Stdout);
    let text = String::from_utf8_lossy(&bytes);
    let shown: Vec<&str> =
        text.split('\n').filter_map(|line| line.strip_prefix("odd | ")).collect();
    assert_eq!(shown, ["no end", "", "", "cr", "\u{fffd}\u{fffd} bytes", "last"], "{text:?}");
    let lines = project.devstack(["logs", "--json"]).run().expect_code(0).stdout;
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[4]["line_base64"], "//4gYnl0ZXM=");
    assert_eq!(lines[5]["line"], "last");
    project.finish();
}
