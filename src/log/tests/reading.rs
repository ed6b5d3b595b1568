use super::*;
use crate::log::{LogLine, LogReader};

async fn all(mut reader: LogReader) -> Vec<LogLine> {
    let mut records = Vec::new();
    while let Some(page) = reader.next_page().await {
        assert!(page.missed.is_empty());
        records.extend(page.records);
    }
    records
}

#[tokio::test]
async fn the_last_lines_of_each_service_in_order() {
    let bench = LogFixture::new(false);
    for i in 0..10 {
        bench.run("api", i, &format!("a{i}\nb{i}\n"));
        bench.run("web", 100 + i, &format!("w{i}\n"));
    }
    let read = |services, last| all(bench.logs.reader(services, last, false));
    assert_eq!(
        texts(&read(None, 3).await),
        ["web w7", "api b8", "web w8", "api a9", "api b9", "web w9"]
    );
    assert_eq!(texts(&read(Some(vec![name("api")]), 1).await), ["api b9"]);
    assert_eq!(read(None, usize::MAX).await.len(), 30);
    assert_eq!(read(None, 1000).await.len(), 30);
    assert!(read(None, 0).await.is_empty());
    assert!(read(Some(vec![name("other")]), 5).await.is_empty());
    bench.finish();
    assert_eq!(texts(&stored(&bench.dir(), 3)), texts(&read(None, 3).await));
}

#[tokio::test]
async fn a_follower_gets_everything_in_order_also_of_new_services() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "before\n");
    let follower = tokio::spawn(all(bench.logs.reader(None, 1, true)));
    let mut expected = vec!["api before".to_owned()];
    for i in 0..500 {
        let service = ["api", "web", "worker"][i % 3];
        bench.run(service, i as u64 + 2, &format!("line {i}\n"));
        expected.push(format!("{service} line {i}"));
        if i % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    bench.finish();
    assert_eq!(texts(&follower.await.unwrap()), expected);
}

#[tokio::test]
async fn a_call_that_is_dropped_loses_nothing() {
    let bench = LogFixture::new(false);
    let mut reader = bench.logs.reader(None, 0, true);
    let mut seen = Vec::new();
    for i in 0..200 {
        bench.run("api", i, &format!("{i}\n"));
        // Polled once, then dropped.
        tokio::select! {
            biased;
            page = reader.next_page() => seen.extend(page.unwrap().records),
            () = std::future::ready(()) => {}
        }
        tokio::task::yield_now().await;
    }
    bench.finish();
    while let Some(page) = reader.next_page().await {
        seen.extend(page.records);
    }
    let lines: Vec<String> = (0..200).map(|i| format!("api {i}")).collect();
    assert_eq!(texts(&seen), lines);
}

#[tokio::test]
async fn a_reader_that_sleeps_slows_nothing_and_misses_nothing() {
    let bench = LogFixture::new(false);
    let reader = bench.logs.reader(None, 0, true);
    let line = format!("{}\n", "x".repeat(999));
    for i in 0..3000 {
        bench.run("api", i, &line);
    }
    bench.finish();
    assert_eq!(all(reader).await.len(), 3000);
}

#[test]
fn the_tail_is_of_the_last_run_and_plain() {
    let bench = LogFixture::new(false);
    assert!(bench.logs.tail(&name("api"), 5).is_empty());
    bench.run("api", 1, "old\n");
    bench.run("api", 2, "one\n\x1b[31mtwo\x1b[0m\nthree");
    assert_eq!(bench.logs.tail(&name("api"), 2), ["two", "three"]);
    assert_eq!(bench.logs.tail(&name("api"), 9), ["one", "two", "three"]);
    bench.run("api", 3, &"ä".repeat(10_000));
    assert_eq!(bench.logs.tail(&name("api"), 9), [format!("{}…", "ä".repeat(500))]);
}

#[test]
fn records_say_run_and_stream_and_are_whole() {
    let bench = LogFixture::new(false);
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(7), Vec::new());
    let long = "x".repeat(crate::log::MAX_LINE + 5);
    capture.push(OutputStream::Stderr, format!("a\n{long}\nb").as_bytes());
    capture.close();
    bench.finish();
    let seen: Vec<_> = bench
        .stored()
        .iter()
        .map(|r| (r.run.0, r.stream, r.seq, r.line.len(), r.continues, r.open))
        .collect();
    let err = OutputStream::Stderr;
    assert_eq!(
        seen,
        [
            (7, err, 0, 1, false, false),
            (7, err, 2, long.len(), false, false),
            (7, err, 3, 1, false, true),
        ]
    );
}

#[test]
fn the_log_of_a_crash_is_readable() {
    let bench = LogFixture::new(false);
    for i in 0..20 {
        bench.run("api", i, &format!("a{i}\n"));
        bench.run("web", i, &format!("w{i}\n"));
    }
    bench.finish();
    let whole = texts(&bench.stored());
    let index = bench.file("api.idx");
    for torn in crate::log::store::IndexHeader::SIZE..index.len() {
        std::fs::write(bench.dir().join("api.idx"), &index[..torn]).unwrap();
        let mut seen = texts(&bench.stored());
        seen.sort();
        let mut expected = whole.clone();
        expected.sort();
        assert_eq!(seen, expected, "index of {torn} bytes");
    }
    // The index refers to bytes that never reached the disk.
    std::fs::write(bench.dir().join("api.idx"), &index).unwrap();
    let log = bench.file("api.log");
    std::fs::write(bench.dir().join("api.log"), &log[..log.len() - 1]).unwrap();
    assert_eq!(bench.stored().len(), 40);
    // Not an index at all: that log is skipped.
    std::fs::write(bench.dir().join("api.idx"), b"junk").unwrap();
    assert_eq!(bench.stored().len(), 20);
}

#[tokio::test]
async fn readers_at_the_same_long_line_share_its_bytes() {
    let bench = LogFixture::new(false);
    let long = "x".repeat(3 * crate::log::MAX_LINE);
    bench.run("api", 1, &format!("{long}\n"));
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut reader = bench.logs.reader(None, usize::MAX, false);
        let mut items = reader.next().await.unwrap();
        let (_, text) = items.next_with_text().unwrap();
        assert_eq!(text.len(), long.len());
        held.push((reader, items, text));
    }
    assert!(held.iter().all(|(_, _, text)| text.as_ptr() == held[0].2.as_ptr()));
    // A reader that comes when nobody holds it any more joins it again.
    drop(held);
    let mut reader = bench.logs.reader(None, usize::MAX, false);
    assert_eq!(reader.next_page().await.unwrap().records[0].line, long.as_bytes());
}
