use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::log::store::SegmentKind;
use crate::model::MessageClass;

#[test]
fn files_are_for_this_user_only_and_the_last_ones_are_kept() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "first\n");
    bench.finish();
    let mode = |file: &str| {
        std::fs::metadata(bench.dir().join(file)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("."), mode("api.log"), mode("api.idx")), (0o700, 0o600, 0o600));
    let logs = StackLog::open(&bench.dir(), LogStyle::new(false), LogOutput::None);
    assert!(stored(&bench.dir(), 9).is_empty());
    let (mut capture, _) = logs.capture(&name("api"), RunId(1), Vec::new());
    capture.push(OutputStream::Stdout, b"second\n");
    wait_stored(&logs);
    assert_eq!(bench.file("api.log"), b"second\n");
    let last = bench.dir.path().join("logs.1");
    assert_eq!(std::fs::read(last.join("api.log")).unwrap(), b"first\n");
    assert_eq!(texts(&stored(&last, 9)), ["api first"]);
}

#[test]
fn without_a_directory_the_last_lines_are_in_memory_and_it_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("logs"), "a file").unwrap();
    let screen = GatedOutput::default();
    let logs = StackLog::open(&dir.path().join("logs"), LogStyle::new(false), screen.output());
    let (mut capture, _) = logs.capture(&name("api"), RunId(1), Vec::new());
    for i in 0..20_000 {
        capture.push(OutputStream::Stdout, format!("line {i} {}\n", "x".repeat(40)).as_bytes());
    }
    wait_stored(&logs);
    assert_eq!(logs.tail(&name("api"), 1), [format!("line 19999 {}", "x".repeat(40))]);
    let notes = logs.take_warnings();
    assert_eq!(notes.iter().map(|note| note.class).collect::<Vec<_>>(), [MessageClass::Disk]);
    assert!(logs.take_warnings().is_empty());
    let counts = logs.counts(&name("api"));
    assert_eq!(counts.stored, 0);
    assert!(counts.held() > 0 && counts.dropped > 0);
    assert_eq!(counts.taken, counts.held() + counts.dropped);
    assert!(logs.finish(PATIENCE));
    assert_eq!(screen.text().lines().count(), 20_000, "dropped lines are still printed");
}

#[tokio::test]
async fn reader_counts_lost_lines() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("logs"), "a file").unwrap();
    let logs = StackLog::open(&dir.path().join("logs"), LogStyle::new(false), LogOutput::None);
    let mut reader = logs.reader(None, 0, true);
    let (mut capture, _) = logs.capture(&name("api"), RunId(1), Vec::new());
    let mut first = None;
    for i in 0..20_000 {
        capture.push(OutputStream::Stdout, format!("{i} {}\n", "x".repeat(90)).as_bytes());
        if i == 9 {
            first = reader.next_page().await;
        }
    }
    assert_eq!(first.unwrap().records.len(), 10);
    logs.finish(PATIENCE);
    let (mut missed, mut lines) = (0, 0);
    while let Some(page) = reader.next_page().await {
        missed += page.missed.total().lines;
        lines += page.records.len() as u64;
    }
    assert!(missed > 0);
    assert_eq!(missed + lines, 19_990);
}

#[test]
fn blocked_terminal_without_a_disk_counts_lost_lines() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("logs"), "a file").unwrap();
    let screen = GatedOutput::shut();
    let logs = StackLog::open(&dir.path().join("logs"), LogStyle::new(false), screen.output());
    let (mut capture, _) = logs.capture(&name("api"), RunId(1), Vec::new());
    let count = 40_000;
    for _ in 0..count {
        capture.push(OutputStream::Stdout, format!("{}\n", "x".repeat(499)).as_bytes());
    }
    screen.open_gate();
    assert!(logs.finish(PATIENCE));
    let text = screen.text();
    let shown = text.lines().filter(|line| line.starts_with("api | ")).count();
    let last = text.lines().last().unwrap();
    assert_eq!(
        last,
        format!(
            "api * {} lines ({} bytes) are missing (already discarded)",
            count - shown,
            (count - shown) * 500
        )
    );
}

/// Makes the next write check the files, instead of a second later.
fn look_now(bench: &LogFixture) {
    for service_log in bench.logs.inner.service_logs() {
        service_log.look_now();
    }
}

#[tokio::test]
async fn files_that_were_taken_away_are_made_again_and_no_link_is_followed() {
    let bench = LogFixture::new(false);
    let mut reader = bench.logs.reader(None, 0, true);
    bench.run("api", 1, "one\n");
    let precious = bench.dir.path().join("precious");
    std::fs::write(&precious, "mine").unwrap();
    let log = bench.dir().join("api.log");
    std::fs::remove_file(&log).unwrap();
    symlink(&precious, &log).unwrap();
    look_now(&bench);
    bench.run("api", 2, "two\n");
    assert_eq!(std::fs::read(&precious).unwrap(), b"mine");
    assert!(std::fs::symlink_metadata(&log).unwrap().is_file());
    assert_eq!(std::fs::read(&log).unwrap(), b"two\n");
    // Truncated while it is open.
    std::fs::File::create(&log).unwrap();
    look_now(&bench);
    bench.run("api", 3, "three\n");
    assert_eq!(std::fs::read(&log).unwrap(), b"three\n");
    bench.finish();
    let mut seen = Vec::new();
    while let Some(page) = reader.next_page().await {
        seen.extend(texts(&page.records));
    }
    assert_eq!(seen.last().unwrap(), "api three");
    assert_eq!(texts(&bench.stored()), ["api three"]);
}

#[tokio::test]
async fn a_file_that_was_made_read_only_is_still_written() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "one\n");
    for file in ["api.log", "api.idx"] {
        let read_only = std::fs::Permissions::from_mode(0o400);
        std::fs::set_permissions(bench.dir().join(file), read_only).unwrap();
    }
    look_now(&bench);
    bench.run("api", 2, "two\n");
    bench.finish();
    assert!(bench.logs.take_warnings().is_empty());
    assert_eq!(texts(&bench.stored()), ["api one", "api two"]);
}

#[test]
fn a_linked_directory_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    symlink(&other, dir.path().join("logs")).unwrap();
    let logs = StackLog::open(&dir.path().join("logs"), LogStyle::new(false), LogOutput::None);
    assert_eq!(logs.take_warnings().len(), 1);
    let (mut capture, _) = logs.capture(&name("api"), RunId(1), Vec::new());
    capture.push(OutputStream::Stdout, b"one\n");
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0);
}

#[tokio::test]
async fn a_directory_that_is_gone_is_as_bad_as_a_full_disk() {
    let bench = LogFixture::new(false);
    let mut reader = bench.logs.reader(None, 0, true);
    let gone = bench.dir.path().join("gone");
    std::fs::rename(bench.dir(), &gone).unwrap();
    std::fs::remove_dir_all(&gone).unwrap();
    // It cannot be created again.
    std::fs::write(bench.dir(), "").unwrap();
    bench.run("api", 1, "one\n");
    assert_eq!(bench.logs.take_warnings().len(), 1);
    let counts = bench.logs.counts(&name("api"));
    assert_eq!((counts.stored, counts.held(), counts.dropped), (0, 4, 0));
    assert_eq!(bench.logs.tail(&name("api"), 3), ["one"]);
    assert_eq!(texts(&reader.next_page().await.unwrap().records), ["api one"]);
}

#[test]
fn a_disk_that_fills_up_and_is_freed() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "one\n");
    let service_log = bench.logs.inner.service_logs().remove(0);
    // Simulates a write that the disk refuses.
    service_log.fail_once(&bench.logs.inner.notes);
    bench.run("api", 2, "two\n");
    assert_eq!(bench.file("api.log"), b"one\n");
    // The first line is in memory as well if its index entry was not written yet.
    let counts = bench.logs.counts(&name("api"));
    assert_eq!((counts.stored + counts.held(), counts.dropped), (8, 0));
    assert_eq!(bench.logs.tail(&name("api"), 1), ["two"]);
    look_now(&bench);
    bench.run("api", 3, "three\n");
    let counts = bench.logs.counts(&name("api"));
    assert_eq!((counts.taken, counts.stored, counts.dropped), (14, 14, 0));
    assert_eq!(bench.finish(), "api | one\napi | two\napi | three\n");
    assert_eq!(bench.file("api.log"), b"one\ntwo\nthree\n");
    assert_eq!(texts(&bench.stored()), ["api one", "api two", "api three"]);
}

#[tokio::test]
async fn files_deleted_to_make_room_are_closed_before_new_ones_are_made() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "one\n");
    let service_log = bench.logs.inner.service_logs().remove(0);
    bench.wait_stored();
    service_log.fail_once(&bench.logs.inner.notes);
    bench.run("api", 2, "two\n");
    // Without their directory new files cannot be created yet, as on a disk full of the old ones.
    std::fs::remove_dir_all(bench.dir()).unwrap();
    std::fs::write(bench.dir(), "").unwrap();
    look_now(&bench);
    bench.run("api", 3, "three\n");
    assert!(matches!(service_log.extent().base.kind, SegmentKind::Memory(_)));
    assert_eq!(bench.logs.tail(&name("api"), 9), ["three"]);
    let mut reader = bench.logs.reader(None, usize::MAX, false);
    let page = reader.next_page().await.unwrap();
    assert_eq!(
        (texts(&page.records), page.missed.total().lines),
        (vec!["api two".into(), "api three".into()], 1)
    );
}
