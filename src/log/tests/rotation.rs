use std::thread;

use proptest::prelude::*;

use super::*;
use crate::log::store::{IndexHeader, LogSegment, NextSegment, SegmentKind};
use crate::log::{LogReader, LogSize};
use crate::model::LogRetention;

fn bench(max_size: u64, keep: u32) -> LogFixture {
    let bench = LogFixture::new(false);
    bench.logs.set_retention(LogRetention { max_size, keep });
    bench
}

fn line(number: u64) -> String {
    format!("{number:05} {}\n", "x".repeat(40))
}

fn fill(bench: &LogFixture, lines: std::ops::Range<u64>) {
    for i in lines {
        bench.run("api", i, &line(i));
    }
}

/// Reads to the end; returns the numbers of the lines and what was missed.
async fn rest(mut reader: LogReader) -> (Vec<u64>, LogSize) {
    let (mut seen, mut missed) = (Vec::new(), LogSize::ZERO);
    while let Some(page) = reader.next_page().await {
        missed += page.missed.total();
        seen.extend(numbers(&page));
    }
    (seen, missed)
}

fn numbers(page: &LogPage) -> Vec<u64> {
    let number = |line: &Vec<u8>| std::str::from_utf8(&line[..5]).unwrap().parse().unwrap();
    page.records.iter().map(|record| number(&record.line)).collect()
}

/// Returns the file names in order, once removals have left at most `count`.
fn files(bench: &LogFixture, count: usize) -> Vec<String> {
    loop {
        let entries = std::fs::read_dir(bench.dir()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        // The id of this start.
        names.retain(|name| name != "start");
        if names.len() <= count {
            names.sort();
            return names;
        }
        thread::yield_now();
    }
}

#[tokio::test]
async fn full_files_are_put_away_and_the_newest_are_kept() {
    let bench = bench(1000, 2);
    fill(&bench, 0..100);
    bench.finish();
    let names = files(&bench, 6);
    assert_eq!(names.len(), 6, "{names:?}");
    let old = &names[..4];
    assert!(old[0].ends_with(".idx") && old[1].ends_with(".log"), "{names:?}");
    let sizes: Vec<u64> =
        names.iter().map(|name| std::fs::metadata(bench.dir().join(name)).unwrap().len()).collect();
    assert!(sizes.chunks(2).all(|pair| pair[0] + pair[1] <= 1000), "{sizes:?}");
    // The end is kept, and the rest is counted as missed.
    let stored = stored_pages(&bench.dir(), None, usize::MAX, LineFilter::default());
    let (mut seen, mut missed) = (Vec::new(), LogSize::ZERO);
    for page in stored {
        missed += page.missed.total();
        seen.extend(numbers(&page));
    }
    assert!(!seen.is_empty());
    let first = seen[0];
    assert_eq!(seen, (first..100).collect::<Vec<_>>());
    assert_eq!(missed, LogSize { lines: first, bytes: first * line(0).len() as u64 });
    let live = bench.logs.reader(None, usize::MAX, false);
    assert_eq!(rest(live).await, (seen.clone(), missed));
    // The last lines, whichever file they are in.
    for last in 0..seen.len() {
        let expected = seen[seen.len() - last..].to_vec();
        let live = bench.logs.reader(None, last, false);
        assert_eq!(rest(live).await, (expected.clone(), LogSize::ZERO), "{last}");
        let texts: Vec<Vec<u8>> =
            super::stored(&bench.dir(), last).into_iter().map(|record| record.line).collect();
        let lines: Vec<String> =
            expected.iter().map(|number| line(*number).trim_end().to_owned()).collect();
        assert_eq!(texts, lines.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn follower_crosses_files_and_counts_missed_lines() {
    let bench = bench(1000, 1);
    let (mut awake, asleep) = (bench.logs.reader(None, 0, true), bench.logs.reader(None, 0, true));
    let mut seen = Vec::new();
    for i in 0..200 {
        fill(&bench, i..i + 1);
        let page = awake.next_page().await.unwrap();
        assert!(page.missed.is_empty());
        seen.extend(numbers(&page));
    }
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
    bench.finish();
    let (late, missed) = rest(asleep).await;
    assert!(missed.lines > 100 && !late.is_empty(), "{missed:?}");
    assert_eq!(late, (missed.lines..200).collect::<Vec<_>>());
    assert_eq!(missed.bytes, missed.lines * line(0).len() as u64);
}

#[tokio::test]
async fn a_reader_that_sleeps_keeps_nothing_that_was_removed() {
    let bench = bench(1000, 1);
    fill(&bench, 0..30);
    let mut asleep = bench.logs.reader(None, usize::MAX, true);
    // In the middle of an old file.
    let first = asleep.next_page().await.unwrap();
    assert_eq!(numbers(&first).last(), Some(&29));
    fill(&bench, 30..300);
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let dir = bench.dir();
    let held: Vec<_> = open
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter(|path| path.parent() == Some(&dir))
        .collect();
    // On Linux: the two current ones.
    assert!(held.len() <= 2, "{held:?}");
    bench.finish();
    let (late, missed) = rest(asleep).await;
    assert_eq!(missed.lines + late.len() as u64, 270);
}

#[test]
fn a_long_chain_of_files_is_let_go_without_recursion() {
    let mut chain = LogSegment::memory(Default::default());
    for _ in 0..500_000 {
        let before = LogSegment::memory(Default::default());
        let next = NextSegment { total: 0, upto: LogSize::ZERO, segment: chain, first: 0 };
        assert!(before.next.set(next).is_ok());
        chain = before;
    }
    assert!(matches!(chain.kind, SegmentKind::Memory(_)));
    drop(chain);
}

#[test]
fn rotation_killed_halfway_leaves_a_whole_log() {
    let bench = bench(1000, 3);
    fill(&bench, 0..30);
    bench.finish();
    let whole = texts(&bench.stored());
    assert_eq!(whole.len(), 30);
    let read = |name: &str| std::fs::read(bench.dir().join(name)).unwrap();
    let (log, index) = (read("api.log"), read("api.idx"));
    let header = IndexHeader::decode(index.first_chunk().unwrap()).unwrap();
    let number = header.number;
    // First the log has its new name, then the index too, then there is a new log without an index.
    let rename = |from: &str, to: &str| {
        std::fs::rename(bench.dir().join(from), bench.dir().join(to)).unwrap();
    };
    rename("api.log", &format!("api.{number}.log"));
    assert_eq!(texts(&bench.stored()), whole);
    rename("api.idx", &format!("api.{number}.idx"));
    assert_eq!(texts(&bench.stored()), whole);
    std::fs::write(bench.dir().join("api.log"), "").unwrap();
    assert_eq!(texts(&bench.stored()), whole);
    // An old index without its log does not apply to any other.
    std::fs::remove_file(bench.dir().join(format!("api.{number}.log"))).unwrap();
    std::fs::write(bench.dir().join("api.log"), &log).unwrap();
    assert!(texts(&bench.stored()).len() < 30);
    std::fs::write(bench.dir().join("api.idx"), &index).unwrap();
    assert_eq!(texts(&bench.stored()), whole);
}

#[test]
fn no_old_file_need_be_kept_and_an_edit_counts_at_once() {
    let bench = bench(1000, 0);
    fill(&bench, 0..50);
    assert_eq!(files(&bench, 2), ["api.idx", "api.log"]);
    bench.logs.set_retention(LogRetention { max_size: 1_000_000, keep: 0 });
    fill(&bench, 50..100);
    bench.finish();
    let kept = bench.stored().len();
    assert!((50..100).contains(&kept), "{kept}");
}

#[test]
fn blocked_terminal_counts_removed_lines() {
    let bench = LogFixture::with(false, GatedOutput::shut());
    bench.logs.set_retention(LogRetention { max_size: 100_000, keep: 1 });
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    let (count, mut bytes) = (40_000, 0);
    for i in 0..count {
        let text = format!("{i} {}\n", "x".repeat(499));
        capture.push(OutputStream::Stdout, text.as_bytes());
        bytes += text.len();
        // Otherwise a slow disk would cost lines of its own.
        if i % 500 == 0 {
            bench.wait_stored();
        }
    }
    drop(capture);
    bench.screen.open_gate();
    let text = bench.finish();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("api | ")).collect();
    assert!(lines.last().unwrap().starts_with(&format!("api | {} ", count - 1)));
    let reported = format!(
        "api * {} lines ({} bytes) are missing (already discarded)",
        count - lines.len(),
        bytes - lines.iter().map(|line| line.len() - "api | ".len() + 1).sum::<usize>()
    );
    assert!(text.lines().any(|line| line == reported), "{reported}");
}

#[tokio::test]
async fn files_count_lines_lost_in_memory() {
    let bench = bench(100_000_000, 1);
    fill(&bench, 0..10);
    let service_log = bench.logs.inner.service_logs().remove(0);
    bench.wait_stored();
    service_log.fail_once(&bench.logs.inner.notes);
    fill(&bench, 10..20_000);
    service_log.look_now();
    fill(&bench, 20_000..20_010);
    bench.finish();
    let dropped = bench.logs.counts(&name("api")).dropped;
    assert!(dropped > 0);
    let stored = stored_pages(&bench.dir(), None, usize::MAX, LineFilter::default());
    let (mut seen, mut missed) = (Vec::new(), LogSize::ZERO);
    for page in stored {
        missed += page.missed.total();
        seen.extend(numbers(&page));
    }
    assert_eq!(missed.bytes, dropped);
    assert_eq!(missed.lines + seen.len() as u64, 20_010);
    assert_eq!(seen[..10], (0..10).collect::<Vec<_>>());
    let live = bench.logs.reader(None, usize::MAX, false);
    assert_eq!(rest(live).await, (seen, missed));
}

/// What can happen between two lines.
#[derive(Debug, Clone)]
enum RotationStep {
    Lines(u8),
    Full,
    Look,
    Delete,
    Flush,
    Read,
    Limit(u64, u32),
}

fn steps() -> impl Strategy<Value = Vec<RotationStep>> {
    let step = prop_oneof![
        8 => (1..30u8).prop_map(RotationStep::Lines),
        1 => Just(RotationStep::Full),
        2 => Just(RotationStep::Look),
        1 => Just(RotationStep::Delete),
        1 => Just(RotationStep::Flush),
        2 => Just(RotationStep::Read),
        1 => (200..5000u64, 0..4u32).prop_map(|(size, keep)| RotationStep::Limit(size, keep)),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_line_is_read_once_or_counted_as_lost(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bench = bench(1000, 1);
            let notes = &bench.logs.inner.notes;
            fill(&bench, 0..1);
            let mut reader = bench.logs.reader(None, usize::MAX, true);
            let (mut printed, mut seen, mut missed) = (1, Vec::new(), LogSize::ZERO);
            let mut take = |page: LogPage| {
                missed += page.missed.total();
                seen.extend(numbers(&page));
                missed.lines + seen.len() as u64
            };
            for step in steps {
                let log = bench.logs.inner.service_logs().remove(0);
                match step {
                    RotationStep::Lines(count) => {
                        fill(&bench, printed..printed + u64::from(count));
                        printed += u64::from(count);
                    }
                    RotationStep::Full => log.fail_once(notes),
                    RotationStep::Look => log.look_now(),
                    RotationStep::Delete => {
                        // May not exist.
                        let _ = std::fs::remove_file(bench.dir().join("api.log"));
                    }
                    RotationStep::Flush => bench.wait_stored(),
                    RotationStep::Read => {
                        while take(LogPage::default()) < printed {
                            take(reader.next_page().await.unwrap());
                        }
                    }
                    RotationStep::Limit(max_size, keep) => bench.logs.set_retention(LogRetention { max_size, keep }),
                }
            }
            bench.finish();
            while let Some(page) = reader.next_page().await {
                take(page);
            }
            assert_eq!(missed.lines + seen.len() as u64, printed);
            assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
            let bytes = seen.len() as u64 * line(0).len() as u64 + missed.bytes;
            assert_eq!(bytes, printed * line(0).len() as u64);
            let (again, lost) = rest(bench.logs.reader(None, usize::MAX, false)).await;
            assert_eq!(lost.lines + again.len() as u64, printed);
            let counts = bench.logs.counts(&name("api"));
            assert_eq!(counts.taken, bytes);
        });
    }
}

#[test]
fn a_file_whose_index_was_never_written_goes_on_where_the_one_before_ended() {
    let bench = bench(1000, 9);
    bench.run("web", 1, "first\n");
    fill(&bench, 0..25);
    bench.finish();
    let whole = texts(&bench.stored());
    let index = bench.file("api.idx");
    std::fs::write(bench.dir().join("api.idx"), &index[..IndexHeader::SIZE]).unwrap();
    assert_eq!(texts(&bench.stored()), whole);
    assert_eq!(texts(&stored(&bench.dir(), 1000)), whole);
    assert_eq!(texts(&stored(&bench.dir(), 1))[1..], whole[25..]);
}
