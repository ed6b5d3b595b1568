use super::*;
use crate::log::{StatusText, StatusTone};
use crate::model::LogRetention;

fn grep(pattern: &str) -> LineFilter {
    LineFilter { grep: vec![regex::bytes::Regex::new(pattern).unwrap()], ..LineFilter::default() }
}

/// Returns the lines found in the running stack, which must equal those found in its files.
async fn found(bench: &LogFixture, last: usize, wanted: &LineFilter) -> Vec<String> {
    let mut reader = bench.logs.search(None, last, false, wanted.clone());
    let mut seen = Vec::new();
    while let Some(page) = reader.next_page().await {
        assert!(!page.records.is_empty() || !page.missed.is_empty());
        seen.extend(texts(&page.records));
    }
    let stored = stored_pages(&bench.dir(), None, last, wanted.clone());
    let stored: Vec<String> = stored.flat_map(|page| texts(&page.records)).collect();
    assert_eq!(stored, seen);
    seen
}

#[tokio::test]
async fn lines_are_found_by_what_is_in_them_across_files() {
    let bench = LogFixture::new(false);
    bench.logs.set_retention(LogRetention { max_size: 2000, keep: 100 });
    for i in 0..300u64 {
        let word = if i % 7 == 0 { "\x1b[31mer\x1b[1mror\x1b[0m" } else { "fine" };
        bench.run("api", i, &format!("{word} {i}\nnothing\n"));
        bench.run("web", 1000 + i, &format!("web {i}\n"));
    }
    bench.finish();
    let all: Vec<String> = found(&bench, usize::MAX, &grep("^error [0-9]+$")).await;
    assert_eq!(all.len(), 43);
    assert_eq!(all[42], "api \x1b[31mer\x1b[1mror\x1b[0m 294");
    for last in [0, 1, 2, 5, 42, 43, 44, 1000] {
        let some = found(&bench, last, &grep("^error [0-9]+$")).await;
        assert_eq!(some, all[43usize.saturating_sub(last)..], "{last}");
    }
    // Per service.
    let both = found(&bench, 2, &grep("29[89]$")).await;
    assert_eq!(both, ["api fine 298", "web web 298", "api fine 299", "web web 299"]);
    assert!(found(&bench, 9, &grep("no such line")).await.is_empty());
    assert!(found(&bench, usize::MAX, &grep("no such line")).await.is_empty());
}

#[tokio::test]
async fn a_long_line_is_searched_whole_and_counts_once() {
    use crate::log::MAX_LINE;
    let bench = LogFixture::new(false);
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    capture.push(OutputStream::Stdout, b"x one\nx two\n");
    let long = format!("x{}x", "yx".repeat(2 * MAX_LINE));
    capture.push(OutputStream::Stdout, long.as_bytes());
    capture.push(OutputStream::Stderr, b"x err\n");
    capture.push(OutputStream::Stdout, b" end\nx last\n");
    drop(capture);
    bench.finish();
    let all = ["x one", "x two", "x err", &format!("{long} end"), "x last"];
    let all = all.map(|line| format!("api {line}"));
    for last in 0..7 {
        let expected = &all[5usize.saturating_sub(last)..];
        assert!(found(&bench, last, &grep("x")).await == expected, "{last}");
    }
    // Neither piece has all of it.
    assert!(found(&bench, 1, &grep("^xy.* end$")).await == all[3..4]);
    assert!(found(&bench, 1, &grep("two|err|^xy.* end$")).await == all[3..4]);
    assert!(found(&bench, 2, &grep("two|err|^xy.* end$")).await == all[2..4]);
}

#[tokio::test]
async fn lines_are_found_by_their_stream_and_by_their_time() {
    let bench = LogFixture::new(false);
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    for i in 0..50 {
        capture.push(OutputStream::Stdout, format!("out {i}\n").as_bytes());
        capture.push(OutputStream::Stderr, format!("err {i}\nerr {i} more\n").as_bytes());
    }
    drop(capture);
    bench.finish();
    let of = |stream| LineFilter { stream: Some(stream), ..LineFilter::default() };
    assert_eq!(found(&bench, 2, &of(OutputStream::Stdout)).await, ["api out 48", "api out 49"]);
    let errors = found(&bench, 3, &of(OutputStream::Stderr)).await;
    assert_eq!(errors, ["api err 48 more", "api err 49", "api err 49 more"]);
    assert_eq!(found(&bench, usize::MAX, &of(OutputStream::Stderr)).await.len(), 100);
    let at = bench.stored()[0].at;
    let since = |at| LineFilter { since: Some(at), ..LineFilter::default() };
    assert_eq!(found(&bench, usize::MAX, &since(at)).await.len(), 150);
    assert!(found(&bench, usize::MAX, &since(at + 3_600_000)).await.is_empty());
    assert!(found(&bench, 7, &since(at + 3_600_000)).await.is_empty());
    let both = LineFilter { since: Some(at), stream: Some(OutputStream::Stderr), ..grep(" 7 ") };
    assert_eq!(found(&bench, usize::MAX, &both).await, ["api err 7 more"]);
}

#[tokio::test]
async fn a_follower_gets_only_what_it_looks_for() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "one error\ntwo\n");
    let mut reader = bench.logs.search(None, 5, true, grep("error"));
    assert_eq!(texts(&reader.next_page().await.unwrap().records), ["api one error"]);
    for i in 0..100 {
        bench.run("api", 2 + i, &format!("line {i}\n"));
    }
    bench.run("web", 500, "another error\nfine\n");
    assert_eq!(texts(&reader.next_page().await.unwrap().records), ["web another error"]);
    bench.finish();
    assert!(reader.next_page().await.is_none());
}

#[test]
fn json_has_one_object_a_line_and_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let screen = GatedOutput::default();
    let style = LogStyle { json: true, ..LogStyle::new(false) };
    let logs = StackLog::open(dir.path(), style, screen.output());
    let (mut capture, _) = logs.capture(&name("api"), RunId(4), Vec::new());
    capture.push(OutputStream::Stdout, b"one\n\x1b[31mtwo\r\n\n");
    logs.write_status(StatusText::about(&name("api"), StatusTone::Good, "ready \"now\"\nmore"));
    logs.write_status(StatusText::stack_wide(StatusTone::Failure, "all"));
    capture.push(OutputStream::Stderr, b"\xff\x00");
    drop(capture);
    assert!(logs.finish(PATIENCE));
    let objects: Vec<serde_json::Value> = screen
        .text()
        .lines()
        .map(|line| {
            let mut object: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(object.as_object_mut().unwrap().remove("at").unwrap().is_string());
            object
        })
        .collect();
    let line = |seq, text| {
        serde_json::json!({
            "service": "api", "run": 4, "stream": "stdout", "seq": seq, "line": text
        })
    };
    let binary = serde_json::json!({
        "service": "api", "run": 4, "stream": "stderr", "seq": 5, "line_base64": "/wA=", "open": true
    });
    let status = |seq, service: serde_json::Value, tone, text| serde_json::json!({ "service": service, "seq": seq, "tone": tone, "text": text });
    let expected = [
        line(0, "one"),
        line(1, "\x1b[31mtwo"),
        line(2, ""),
        status(3, "api".into(), "good", "ready \"now\"\nmore"),
        status(4, serde_json::Value::Null, "failure", "all"),
        binary,
    ];
    assert_eq!(objects, expected);
}

#[tokio::test]
async fn a_long_log_is_read_in_pages_by_line_numbers() {
    let bench = LogFixture::new(false);
    bench.logs.set_retention(LogRetention { max_size: 2000, keep: 100 });
    for i in 0..300u64 {
        bench.run("api", i, &format!("first {i}\nsecond {i}\n"));
        bench.run("web", 1000 + i, &format!("web {i}\n"));
    }
    bench.finish();
    let all = found(&bench, usize::MAX, &LineFilter::default()).await;
    assert_eq!(all.len(), 900);
    for at in [0u64, 1, 2, 3, 450, 451, 452, 899, 900] {
        let end = at as usize;
        let from = LineFilter { from: Some(at), ..LineFilter::default() };
        assert_eq!(found(&bench, usize::MAX, &from).await, all[end..], "{at}");
        let before = LineFilter { before: Some(at), ..LineFilter::default() };
        assert_eq!(found(&bench, usize::MAX, &before).await, all[..end], "{at}");
        // So many of each service, so the last ones of the stack are among them.
        let page = found(&bench, 7, &before).await;
        let last = end.min(7);
        assert_eq!(page[page.len() - last..], all[end - last..end], "{at}");
        let between = LineFilter {
            from: Some(at.saturating_sub(5)),
            before: Some(at),
            ..LineFilter::default()
        };
        assert_eq!(found(&bench, usize::MAX, &between).await, all[end.saturating_sub(5)..end]);
    }
    let second = LineFilter { before: Some(451), ..grep("second 1") };
    assert_eq!(found(&bench, 2, &second).await, ["api second 148", "api second 149"]);
    let next = LineFilter { from: Some(451), ..grep("second 1") };
    assert_eq!(
        found(&bench, usize::MAX, &next).await,
        ["api second 150", "api second 151"]
            .into_iter()
            .map(String::from)
            .chain((152..200).map(|i| format!("api second {i}")))
            .collect::<Vec<_>>()
    );
}
