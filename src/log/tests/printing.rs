use super::*;
use crate::log::shared::PrintQueue;
use crate::log::{StatusText, StatusTone};
use crate::model::MessageClass;

/// Prints numbered lines of two services within the bound of the queue; returns the expected text.
fn flood(bench: &LogFixture, lines: usize) -> String {
    let mut expected = String::new();
    let (mut api, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    let (mut web, _) = bench.logs.capture(&name("web"), RunId(2), Vec::new());
    for i in 0..lines {
        let text = format!("line {i} {}\n", "x".repeat(500));
        for (service, capture) in [("api", &mut api), ("web", &mut web)] {
            capture.push(OutputStream::Stdout, text.as_bytes());
            expected.push_str(&format!("{service} | {text}"));
        }
        if i % 1000 == 0 {
            bench.logs.write_status(StatusText::stack_wide(StatusTone::Plain, format!("at {i}")));
            expected.push_str(&format!(" * at {i}\n"));
        }
        assert!(bench.logs.inner.queue.bytes() <= PrintQueue::MAX_BYTES);
        if i % 100 == 0 {
            bench.wait_stored();
        }
    }
    expected
}

#[test]
fn a_terminal_that_stands_still_slows_nothing_and_gets_all() {
    let bench = LogFixture::with(false, GatedOutput::shut());
    let expected = flood(&bench, 20_000);
    assert!(expected.len() > 2 * PrintQueue::MAX_BYTES);
    bench.screen.open_gate();
    assert!(bench.finish() == expected);
}

#[test]
fn a_terminal_that_catches_up_goes_on_live() {
    let bench = LogFixture::with(false, GatedOutput::shut());
    let mut expected = flood(&bench, 12_000);
    bench.screen.open_gate();
    for _ in 0..3 {
        expected += &flood(&bench, 2_000);
    }
    assert!(bench.finish() == expected);
}

#[test]
fn a_disk_that_comes_and_goes_while_the_terminal_stands_still() {
    let bench = LogFixture::with(false, GatedOutput::shut());
    let mut expected = flood(&bench, 9_000);
    for round in 0..20 {
        let logs = bench.logs.inner.service_logs();
        logs.iter().for_each(|service_log| match round % 3 {
            0 => service_log.fail_once(&bench.logs.inner.notes),
            1 => service_log.look_now(),
            _ => bench.wait_stored(),
        });
        expected += &flood(&bench, 50);
    }
    bench.screen.open_gate();
    assert!(bench.finish() == expected);
}

#[test]
fn what_is_said_while_the_terminal_stands_still_is_shown_in_order() {
    let bench = LogFixture::with(false, GatedOutput::shut());
    let mut expected = flood(&bench, 10_000);
    for i in 0..100 {
        bench.logs.write_status(StatusText::stack_wide(StatusTone::Plain, format!("said {i}")));
        bench.run("api", 3, "between\n");
        expected.push_str(&format!(" * said {i}\napi | between\n"));
    }
    bench.screen.open_gate();
    assert!(bench.finish() == expected);
}

#[tokio::test]
async fn a_pipe_that_was_closed_ends_the_show_and_nothing_else() {
    let bench = LogFixture::with(false, GatedOutput::shut());
    bench.run("api", 1, "one\n");
    bench.screen.wait_for_printer();
    assert!(!bench.logs.is_closed());
    bench.screen.break_pipe();
    bench.logs.closed().await;
    bench.logs.inner.queue.wait_closed(PATIENCE);
    assert!(bench.logs.is_closed());
    bench.run("api", 2, "two\n");
    assert_eq!(bench.finish(), "");
    assert_eq!(bench.file("api.log"), b"one\ntwo\n");
}

#[test]
fn a_printer_that_panics_is_reported_and_output_is_still_stored() {
    let bench = LogFixture::with(false, GatedOutput::shut());
    lock_unpoisoned(&bench.screen.0.0).panics = true;
    bench.run("api", 1, "one\n");
    bench.screen.open_gate();
    assert!(bench.logs.inner.queue.wait_closed(PATIENCE));
    bench.run("api", 2, "two\n");
    assert!(bench.logs.finish(PATIENCE));
    assert_eq!(texts(&bench.stored()), ["api one", "api two"]);
    // The thread reports it after it has closed the queue.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(bench.logs.has_warnings());
    let warnings = bench.logs.take_warnings();
    assert_eq!(warnings.iter().map(|one| one.class).collect::<Vec<_>>(), [MessageClass::Internal]);
}

#[test]
fn finish_gives_up_on_a_terminal_that_takes_nothing() {
    let bench = LogFixture::with(false, GatedOutput::shut());
    bench.run("api", 1, "one\n");
    bench.screen.wait_for_printer();
    assert!(!bench.logs.finish(Duration::from_millis(1)));
    bench.run("api", 2, "two\n");
    assert_eq!(bench.file("api.log"), b"one\ntwo\n");
    assert_eq!(bench.stored().len(), 2);
    bench.screen.open_gate();
}

#[test]
fn without_an_output_everything_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let logs = StackLog::open(dir.path(), LogStyle::new(false), LogOutput::None);
    let (mut capture, _) = logs.capture(&name("api"), RunId(1), Vec::new());
    capture.push(OutputStream::Stdout, b"one\n");
    wait_stored(&logs);
    // The index is complete at once: there is no printer to flush it later.
    assert_eq!(texts(&stored(dir.path(), usize::MAX)), ["api one"]);
}

#[test]
fn on_a_terminal_only_colours_pass_and_no_service_bleeds_into_another() {
    let bench = LogFixture::new(true);
    let (mut api, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    let (mut web, _) = bench.logs.capture(&name("web"), RunId(2), Vec::new());
    api.push(OutputStream::Stdout, b"a\x1b[3");
    web.push(OutputStream::Stdout, b"plain\n");
    api.push(OutputStream::Stdout, b"1mred\n\x1b]52;c;aGk=");
    web.push(OutputStream::Stdout, b"more\n");
    api.push(OutputStream::Stdout, b"\x07\nnext\n50%\r100%\r\n");
    drop(api);
    assert_eq!(
        without_name_colors(&bench.finish()),
        "web | plain\napi | a\x1b[31mred\x1b[0m\nweb | more\napi | \napi | next\napi | 100%\n"
    );
}

#[test]
fn what_a_run_left_open_does_not_reach_the_next_run() {
    let bench = LogFixture::new(true);
    bench.run("api", 1, "\x1b]0;no end");
    bench.run("api", 2, "next\n");
    bench.run("api", 3, "\x1b[31mred");
    bench.run("api", 4, "next\n");
    let shown = without_name_colors(&bench.finish());
    assert_eq!(shown, "api | \napi | next\napi | \x1b[31mred\x1b[0m\napi | next\n");
}

#[test]
fn without_colours_nothing_that_controls_a_terminal_passes() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "\x1b[?25h\x1b[31mred\x1b[0m\x1b[K \x1b]0;t\x07.\n10%\r20%\r\n");
    assert_eq!(bench.finish(), "api | red .\napi | 20%\n");
}

/// Many line ends and a movement of the cursor, as Vite prints them, in one read or in two.
#[test]
fn a_cleared_screen_is_not_shown() {
    let clear = format!("{}\x1b[1;1H\x1b[0J", "\n".repeat(38));
    for at in [0, 20, 38, clear.len()] {
        let bench = LogFixture::new(false);
        let (mut api, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
        api.push(OutputStream::Stdout, b"before\n");
        api.push(OutputStream::Stdout, &clear.as_bytes()[..at]);
        bench.run("web", 2, "between\n");
        api.push(OutputStream::Stdout, &clear.as_bytes()[at..]);
        api.push(OutputStream::Stdout, b"\n\n  VITE ready\n\x1b[2J\x1b[H\nnext\n");
        api.close();
        let shown = bench.finish();
        let lines = "api | before\nweb | between\napi | \napi |   VITE ready\napi | next\n";
        assert_eq!(shown, lines, "cut at {at}");
        assert!(bench.file("api.log").len() > clear.len());
    }
}

#[test]
fn empty_lines_that_clear_nothing_are_shown() {
    let bench = LogFixture::new(false);
    let many = "\n".repeat(10);
    bench.run("api", 1, &format!("a\n{many}b\n{many}"));
    let blank = "api | \n".repeat(10);
    assert_eq!(bench.finish(), format!("api | a\n{blank}api | b\n{blank}"));
}

/// Removes the colors of names; those of the text stay.
fn without_name_colors(shown: &str) -> String {
    let name = regex::Regex::new("\x1b\\[[0-9;]*m((?:api|web) \\| )\x1b\\[0m").unwrap();
    name.replace_all(shown, "$1").into_owned()
}

#[test]
fn colours_of_names_and_of_what_devstack_says() {
    let dir = tempfile::tempdir().unwrap();
    let screen = GatedOutput::default();
    let logs = StackLog::open(dir.path(), LogStyle::new(true), screen.output());
    logs.set_services(&[(name("api"), Some(crate::model::LabelColor::Cyan))]);
    logs.write_status(StatusText::about(&name("api"), StatusTone::Good, "ready in 5 ms"));
    let (mut capture, _) = logs.capture(&name("api"), RunId(1), Vec::new());
    capture.push(OutputStream::Stdout, b"hello\n");
    assert!(logs.finish(PATIENCE));
    assert_eq!(
        screen.text(),
        "\x1b[36mapi\x1b[1m * \x1b[0m\x1b[32mready in 5 ms\x1b[0m\n\x1b[36mapi | \x1b[0mhello\n"
    );
}

#[test]
fn output_that_was_held_is_printed_as_if_it_had_not_been() {
    let bench = LogFixture::new(false);
    let hold = bench.logs.hold_output();
    let mut expected = flood(&bench, 3_000);
    assert_eq!(bench.screen.text(), "");
    drop(hold);
    expected += &flood(&bench, 50);
    assert!(bench.finish() == expected);
}

#[test]
fn most_of_what_was_held_is_printed_and_the_rest_counted() {
    // Within the queue, and more than it holds.
    for lines in [6_000, 20_000] {
        let bench = LogFixture::new(false);
        let hold = bench.logs.hold_output();
        let all = flood(&bench, lines);
        drop(hold);
        bench.logs.wait_printed(PATIENCE);
        let first: String = all.split_inclusive('\n').take(10_000).collect();
        let more = all.lines().count() - 10_000;
        let more = format!(" * … {},{:03} more lines: devstack logs\n", more / 1000, more % 1000);
        let after = flood(&bench, 50);
        assert!(bench.finish() == first + &more + &after, "{lines}");
    }
}

#[test]
fn a_log_that_ends_while_it_is_held_is_printed() {
    let bench = LogFixture::new(false);
    let _hold = bench.logs.hold_output();
    let expected = flood(&bench, 100);
    assert!(bench.finish() == expected);
}
