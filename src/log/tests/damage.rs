use proptest::prelude::*;

use super::*;
use crate::log::{StatusMode, StatusText, StatusTone};

/// What can happen to a file behind the log's back.
#[derive(Debug, Clone)]
enum Damage {
    /// Truncated here.
    Torn(usize),
    /// Overwritten from here on.
    Written(usize, Vec<u8>),
    Gone,
}

fn damages() -> impl Strategy<Value = Vec<(usize, Damage)>> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..60),
        proptest::collection::vec(prop_oneof![Just(0), Just(0xff), Just(0x7f)], 1..60),
    ];
    let damage = prop_oneof![
        2 => any::<usize>().prop_map(Damage::Torn),
        6 => (any::<usize>(), bytes).prop_map(|(at, bytes)| Damage::Written(at, bytes)),
        1 => Just(Damage::Gone),
    ];
    proptest::collection::vec((any::<usize>(), damage), 1..6)
}

#[test]
fn a_hole_is_lost_and_not_read() {
    const INDEXED: u64 = 8;
    const HOLE: u64 = 1 << 40;
    let bench = LogFixture::new(false);
    bench.run("api", 1, "one\ntwo\n");
    bench.finish();
    let log = std::fs::File::options().append(true).open(bench.dir().join("api.log")).unwrap();
    log.set_len(INDEXED + HOLE).unwrap();
    std::io::Write::write_all(&mut &log, b"\nlast\n").unwrap();
    let read = |last| stored_pages(&bench.dir(), None, last, LineFilter::default());
    let last: Vec<Vec<u8>> = read(1).flat_map(|page| page.records).map(|line| line.line).collect();
    assert_eq!(last, [b"last"]);
    let mut lost = 0;
    let mut first = Vec::new();
    for page in read(usize::MAX) {
        lost += page.missed.total().bytes;
        first.extend(page.records.into_iter().map(|line| line.line));
        first.truncate(1);
    }
    assert_eq!(first, [b"one"]);
    let kept = crate::log::store::MAX_UNINDEXED_BYTES;
    assert_eq!(lost, HOLE + 6 - kept);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_damaged_log_is_read_as_far_as_it_goes(damages in damages(), last in 0..40usize) {
        let bench = LogFixture::new(false);
        bench.logs.set_retention(crate::model::LogRetention { max_size: 1000, keep: 3 });
        for i in 0..60 {
            bench.run("api", i, &format!("{i} {}\nmore\n", "x".repeat(20)));
            bench.run("web", i, "w");
            bench.logs.write_status(StatusText::about(&name("api"), StatusTone::Warning, "odd\nhelp: none"));
        }
        bench.finish();
        let entries = std::fs::read_dir(bench.dir()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for (which, damage) in damages {
            let file = &files[which % files.len()];
            let Ok(mut bytes) = std::fs::read(file) else { continue };
            match damage {
                Damage::Torn(at) => bytes.truncate(at % (bytes.len() + 1)),
                Damage::Written(at, other) => {
                    let at = at % (bytes.len() + 1);
                    let end = bytes.len().min(at + other.len());
                    bytes.splice(at..end, other);
                }
                Damage::Gone => {
                    // The log may already be removing an old file.
                    let _ = std::fs::remove_file(file);
                    continue;
                }
            }
            std::fs::write(file, bytes).unwrap();
        }
        for last in [last, usize::MAX] {
            let wanted = LineFilter { status_mode: StatusMode::With, ..LineFilter::default() };
            let pages = stored_pages(&bench.dir(), None, last, wanted);
            let records: Vec<_> = pages.flat_map(|page| page.records).collect();
            // Overlapping entries can repeat lines, but not without bound.
            prop_assert!(records.len() < 100_000, "{}", records.len());
            for record in records {
                serde_json::to_string(&record).unwrap();
            }
        }
    }
}
