use proptest::prelude::*;

use super::*;
use crate::log::store::IndexEntry;

/// Times that a clock is set to: back and forth, far, and just within what is joined.
fn times() -> impl Strategy<Value = Vec<i64>> {
    let at = prop_oneof![
        4 => 1_700_000_000_000..1_700_000_000_020i64,
        1 => Just(0),
        1 => Just(i64::MAX),
        1 => any::<i64>(),
    ];
    proptest::collection::vec(at, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_clock_does_lines_keep_their_order(times in times()) {
        let bench = LogFixture::new(false);
        bench.logs.set_retention(crate::model::LogRetention { max_size: 1000, keep: 1000 });
        let captures = ["api", "web"].map(|service| {
            bench.logs.capture(&name(service), RunId(1), Vec::new()).0
        });
        let mut expected = Vec::new();
        for (number, at) in times.into_iter().enumerate() {
            let capture = &captures[number % 3 % 2];
            let text = format!("{number}\n");
            let text = bytes::Bytes::from(text);
            let entry = IndexEntry::captured(RunId(1), OutputStream::Stdout, at, &text);
            capture.inner.store(&capture.service_log, entry, text);
            expected.push((format!("{} {number}", capture.service_log.source), number as u64));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut live = Vec::new();
        runtime.block_on(async {
            let mut reader = bench.logs.reader(None, usize::MAX, false);
            while let Some(page) = reader.next_page().await {
                live.extend(page.records);
            }
        });
        let shown: Vec<String> =
            bench.finish().lines().map(|line| line.replace(" | ", " ")).collect();
        prop_assert!(shown.iter().eq(expected.iter().map(|(text, _)| text)));
        for records in [live, bench.stored()] {
            let numbers: Vec<u64> = records.iter().map(|record| record.seq).collect();
            let all: Vec<(String, u64)> = texts(&records).into_iter().zip(numbers).collect();
            prop_assert_eq!(&all, &expected);
        }
    }
}
