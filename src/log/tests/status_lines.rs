use regex::bytes::Regex;

use super::*;
use crate::log::{LogItem, StatusMode, StatusText, StatusTone};
use crate::model::LogRetention;

/// Formats what a reader gets, one text each: `api one`, `* ready`.
fn show(items: Vec<LogItem>) -> Vec<String> {
    let text = |item| match item {
        LogItem::Line(record) => Some(texts(&[record]).remove(0)),
        LogItem::Status(status_line) => Some(format!("* {}", status_line.text.text)),
        LogItem::Missed { .. } => None,
    };
    items.into_iter().filter_map(text).collect()
}

fn wanted(status_mode: StatusMode) -> LineFilter {
    LineFilter { status_mode, ..LineFilter::default() }
}

fn grep(pattern: &str, status_mode: StatusMode) -> LineFilter {
    LineFilter { grep: vec![Regex::new(pattern).unwrap()], ..wanted(status_mode) }
}

async fn live(
    bench: &LogFixture,
    services: Option<Vec<Name>>,
    last: usize,
    wanted: LineFilter,
) -> Vec<String> {
    let mut reader = bench.logs.search(services, last, false, wanted);
    let mut all = Vec::new();
    while let Some(page) = reader.next_page().await {
        all.extend(show(page.items));
    }
    all
}

fn after_the_end(
    bench: &LogFixture,
    services: Option<&[Name]>,
    last: usize,
    wanted: LineFilter,
) -> Vec<String> {
    let stored = stored_pages(&bench.dir(), services, last, wanted);
    stored.flat_map(|page| show(page.items)).collect()
}

/// Two services, with status lines about each and about the whole stack.
fn talk() -> LogFixture {
    let bench = LogFixture::new(false);
    let (api, web) = (name("api"), name("web"));
    bench.logs.write_status(StatusText::about(&api, StatusTone::Plain, "starting"));
    bench.run("api", 1, "one\ntwo\n");
    bench.logs.write_status(StatusText::about(&api, StatusTone::Good, "ready"));
    bench.run("web", 2, "three\n");
    bench.logs.write_status(StatusText::about(&web, StatusTone::Failure, "failed\nhelp: mend it"));
    bench.logs.write_status(StatusText::stack_wide(StatusTone::Notice, "all is said"));
    bench
}

#[tokio::test]
async fn what_is_said_stands_between_the_lines_live_and_after_the_end() {
    let bench = talk();
    let with = [
        "* starting",
        "api one",
        "api two",
        "* ready",
        "web three",
        "* failed\nhelp: mend it",
        "* all is said",
    ];
    let only = ["* starting", "* ready", "* failed\nhelp: mend it", "* all is said"];
    let api = ["* starting", "api one", "api two", "* ready", "* all is said"];
    let last = ["api two", "web three", "* all is said"];
    let names = [name("api")];
    let cases = [
        (None, usize::MAX, wanted(StatusMode::With), &with[..]),
        (None, usize::MAX, wanted(StatusMode::Only), &only),
        (None, usize::MAX, wanted(StatusMode::Without), &["api one", "api two", "web three"]),
        (Some(&names[..]), usize::MAX, wanted(StatusMode::With), &api),
        (Some(&names), 1, wanted(StatusMode::With), &["api two", "* all is said"]),
        (None, 1, wanted(StatusMode::With), &last),
        // A search covers both, each in its own text.
        (
            None,
            usize::MAX,
            grep("e|service", StatusMode::With),
            &["api one", "* ready", "web three", "* failed\nhelp: mend it"][..],
        ),
        (
            Some(&names),
            usize::MAX,
            grep("said|mend|ready", StatusMode::With),
            &["* ready", "* all is said"],
        ),
        (None, 1, grep("help", StatusMode::Only), &["* failed\nhelp: mend it"]),
        (None, usize::MAX, grep("service|tone", StatusMode::With), &[]),
        // Status lines belong to no stream.
        (
            None,
            usize::MAX,
            LineFilter { stream: Some(OutputStream::Stdout), ..wanted(StatusMode::With) },
            &["api one", "api two", "web three"],
        ),
    ];
    for (services, last, wanted, expected) in cases.clone() {
        assert_eq!(live(&bench, services.map(<[_]>::to_vec), last, wanted).await, expected);
    }
    bench.finish();
    for (services, last, wanted, expected) in cases {
        assert_eq!(after_the_end(&bench, services, last, wanted), expected);
    }
}

#[tokio::test]
async fn follower_gets_status_lines_and_ends_at_the_given_line() {
    let bench = talk();
    let mut reader = bench.logs.search(None, usize::MAX, true, wanted(StatusMode::Only));
    assert_eq!(show(reader.next_page().await.unwrap().items).len(), 4);
    bench.logs.write_status(StatusText::stack_wide(StatusTone::Plain, "more"));
    assert_eq!(show(reader.next_page().await.unwrap().items), ["* more"]);
    bench.logs.write_status(StatusText::stack_wide(StatusTone::Plain, "the last"));
    reader.stop_at_end();
    bench.logs.write_status(StatusText::stack_wide(StatusTone::Plain, "too late"));
    assert_eq!(show(reader.next_page().await.unwrap().items), ["* the last"]);
    assert_eq!(reader.next_page().await, None);
}

#[tokio::test]
async fn status_lines_are_rotated_and_slow_readers_count_lost_ones() {
    let bench = LogFixture::new(false);
    bench.logs.set_retention(LogRetention { max_size: 4_000, keep: 1 });
    let mut reader = bench.logs.search(None, usize::MAX, true, wanted(StatusMode::Only));
    for number in 0..500 {
        bench
            .logs
            .write_status(StatusText::stack_wide(StatusTone::Plain, format!("number {number}")));
    }
    bench.wait_stored();
    reader.stop_at_end();
    let (mut missed, mut heard) = (0, Vec::new());
    while let Some(page) = reader.next_page().await {
        missed += page.missed.total().lines;
        heard.extend(show(page.items));
    }
    assert_eq!(missed + heard.len() as u64, 500);
    assert!(missed > 400 && heard.last().unwrap() == "* number 499", "{missed} {heard:?}");
    let files = std::fs::read_dir(bench.dir()).unwrap();
    let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    // The newest, a rotated one, and perhaps one that is being removed.
    assert!(size <= 12_000, "{size}");
    bench.finish();
}

#[tokio::test]
async fn without_a_disk_the_last_of_it_is_kept_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let logs = StackLog::open(&file.join("logs"), LogStyle::new(false), LogOutput::None);
    logs.write_status(StatusText::stack_wide(StatusTone::Plain, "heard"));
    let mut reader = logs.search(None, usize::MAX, false, wanted(StatusMode::With));
    assert_eq!(show(reader.next_page().await.unwrap().items), ["* heard"]);
}

#[test]
fn the_next_stack_puts_it_away_although_no_service_printed_anything() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("logs");
    for text in ["first", "second"] {
        let logs = StackLog::open(&directory, LogStyle::new(false), LogOutput::None);
        logs.write_status(StatusText::stack_wide(StatusTone::Plain, text));
        logs.finish(PATIENCE);
    }
    for (directory, text) in
        [(directory.clone(), "* second"), (dir.path().join("logs.1"), "* first")]
    {
        let stored = stored_pages(&directory, None, usize::MAX, wanted(StatusMode::Only));
        let all: Vec<String> = stored.flat_map(|page| show(page.items)).collect();
        assert_eq!(all, [text]);
        assert_eq!(StoredLogReader::services(&directory).unwrap(), []);
    }
}

/// Returns a reader whose call of `next` was dropped during a step.
async fn interrupted(bench: &LogFixture) -> crate::log::LogReader {
    let mut reader = bench.logs.search(None, usize::MAX, true, wanted(StatusMode::With));
    assert_eq!(show(reader.next_page().await.unwrap().items).len(), 7);
    tokio::select! {
        biased;
        page = reader.next_page() => panic!("unexpected page: {page:?}"),
        () = std::future::ready(()) => {}
    }
    reader
}

#[tokio::test]
async fn what_comes_while_a_given_up_step_is_under_way_is_not_overlooked() {
    let bench = talk();
    let mut reader = interrupted(&bench).await;
    bench.logs.write_status(StatusText::stack_wide(StatusTone::Plain, "late"));
    assert_eq!(show(reader.next_page().await.unwrap().items), ["* late"]);

    let mut reader = bench.logs.search(None, 0, true, wanted(StatusMode::With));
    tokio::select! {
        biased;
        page = reader.next_page() => panic!("unexpected page: {page:?}"),
        () = std::future::ready(()) => {}
    }
    bench.logs.write_status(StatusText::stack_wide(StatusTone::Plain, "the last"));
    reader.stop_at_end();
    assert_eq!(show(reader.next_page().await.unwrap().items), ["* the last"]);
    assert_eq!(reader.next_page().await, None);
}

#[test]
fn what_devstack_said_while_the_terminal_stood_still_too_long_is_counted_as_missing() {
    let bench = LogFixture::with(false, GatedOutput::shut());
    bench.logs.set_retention(LogRetention { max_size: 1_000_000, keep: 1 });
    let (count, long) = (1_000, "x".repeat(20_000));
    for number in 0..count {
        bench
            .logs
            .write_status(StatusText::stack_wide(StatusTone::Plain, format!("{number} {long}")));
    }
    bench.screen.open_gate();
    let text = bench.finish();
    let shown = text.lines().filter(|line| line.ends_with('x')).count();
    assert!(shown < count && text.contains(&format!(" * {} {long}\n", count - 1)));
    assert!(text.contains(&format!(" * {} lines (", count - shown)), "{shown}");
}
