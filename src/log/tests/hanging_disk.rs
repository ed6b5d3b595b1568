//! A disk that does not respond: only the writer waits for it.

use super::*;
use crate::log::LogSize;

/// Costs of chunks and the last one come on top of the 8 MiB that are kept at most.
const MOST_IN_MEMORY: usize = 9 * 1024 * 1024;

#[tokio::test]
async fn while_the_disk_hangs_lines_are_printed_and_read_and_nothing_is_lost() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "before\n");
    bench.run("web", 1, "before\n");
    let service_log = bench.logs.inner.service_logs().remove(0);
    let hanging = service_log.hang_disk();
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(2), Vec::new());
    capture.push(OutputStream::Stdout, b"one\n");
    assert!(capture.full().is_none());
    assert_eq!(bench.logs.tail(&name("api"), 9), ["one"]);
    let mut reader = bench.logs.reader(Some(vec![name("api")]), 1, true);
    assert_eq!(texts(&reader.next_page().await.unwrap().records), ["api one"]);
    // Enough to use up the budget. Another service still has all of its own.
    let line = format!("{}\n", "x".repeat(999));
    let mut lines = 0;
    while capture.full().is_none() {
        capture.push(OutputStream::Stdout, line.as_bytes());
        lines += 1;
    }
    assert!((500..2000).contains(&lines), "{lines}");
    let (other, _) = bench.logs.capture(&name("web"), RunId(2), Vec::new());
    assert!(other.full().is_none());
    let mut seen = 0;
    while seen < lines {
        seen += reader.next_page().await.unwrap().records.len();
    }
    drop(hanging);
    if let Some(room) = capture.full() {
        room.await;
    }
    capture.push(OutputStream::Stdout, b"last\n");
    let shown = bench.finish();
    assert_eq!(shown.lines().count(), lines + 4);
    assert_eq!(bench.stored().len(), lines + 4);
    assert_eq!(texts(&bench.stored()).last().unwrap(), "api last");
}

#[tokio::test]
async fn what_is_pushed_without_room_is_bounded_and_counted_where_it_is_missing() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "before\n");
    let service_log = bench.logs.inner.service_logs().remove(0);
    let hanging = service_log.hang_disk();
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(2), Vec::new());
    let line = format!("{}\n", "x".repeat(999));
    let count = 20_000;
    for _ in 0..count {
        capture.push(OutputStream::Stdout, line.as_bytes());
        assert!(service_log.unwritten() <= MOST_IN_MEMORY);
    }
    drop(hanging);
    bench.wait_stored();
    capture.push(OutputStream::Stdout, b"after\n");
    bench.finish();
    let counts = bench.logs.counts(&name("api"));
    assert_eq!(counts.held(), 0);
    let mut live = bench.logs.reader(None, usize::MAX, false);
    let stored = stored_pages(&bench.dir(), None, usize::MAX, LineFilter::default());
    let mut pages: Vec<_> = stored.collect();
    while let Some(page) = live.next_page().await {
        pages.push(page);
    }
    let missed = pages.iter().fold(LogSize::ZERO, |sum, page| sum + page.missed.total());
    let lines: usize = pages.iter().map(|page| page.records.len()).sum();
    // Both readers together.
    assert_eq!(missed.lines + lines as u64, 2 * (count + 2));
    assert_eq!(missed.bytes, 2 * counts.dropped);
    assert_eq!(texts(&pages[pages.len() - 1].records).last().unwrap(), "api after");
}

#[test]
fn finish_gives_up_on_a_disk_that_takes_nothing() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "one\n");
    let service_log = bench.logs.inner.service_logs().remove(0);
    let hanging = service_log.hang_disk();
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(2), Vec::new());
    capture.push(OutputStream::Stdout, b"two\n");
    capture.close();
    assert!(!bench.logs.finish(Duration::from_millis(1)));
    drop(hanging);
    assert_eq!(bench.file("api.log"), b"one\ntwo\n");
}
