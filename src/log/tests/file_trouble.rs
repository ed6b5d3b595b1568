use std::thread;

use proptest::prelude::*;

use super::*;
use crate::log::LogReader;

/// What can happen between two lines.
#[derive(Debug, Clone)]
enum TroubleStep {
    Line(bool),
    Full,
    /// The files are checked again, as a second later.
    Look,
    Delete,
    /// The printer flushes the index.
    Flush,
    /// The reader catches up.
    Read,
}

fn steps() -> impl Strategy<Value = Vec<TroubleStep>> {
    let step = prop_oneof![
        6 => any::<bool>().prop_map(TroubleStep::Line),
        1 => Just(TroubleStep::Full),
        2 => Just(TroubleStep::Look),
        1 => Just(TroubleStep::Delete),
        1 => Just(TroubleStep::Flush),
        2 => Just(TroubleStep::Read),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Reads until `lines` lines were seen. All of them are stored, so it never waits for new ones.
async fn read_now(reader: &mut LogReader, seen: &mut Vec<String>, lines: usize) {
    while seen.len() < lines {
        let page = reader.next_page().await.unwrap();
        assert!(page.missed.is_empty());
        seen.extend(texts(&page.records));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_to_the_files_every_line_is_shown_and_read_once(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bench = LogFixture::new(false);
            let notes = &bench.logs.inner.notes;
            bench.run("api", 0, "");
            bench.run("web", 0, "");
            let mut reader = bench.logs.reader(None, 0, true);
            let (mut seen, mut expected) = (Vec::new(), Vec::new());
            for (i, step) in steps.into_iter().enumerate() {
                let logs = bench.logs.inner.service_logs();
                match step {
                    TroubleStep::Line(api) => {
                        let service = if api { "api" } else { "web" };
                        bench.run(service, i as u64, &format!("{i}\n"));
                        expected.push(format!("{service} {i}"));
                    }
                    TroubleStep::Full => logs.iter().for_each(|log| log.fail_once(notes)),
                    TroubleStep::Look => logs.iter().for_each(|log| log.look_now()),
                    TroubleStep::Delete => {
                        for file in ["api.log", "web.log", "web.idx"] {
                            // May not exist yet.
                            let _ = std::fs::remove_file(bench.dir().join(file));
                        }
                    }
                    TroubleStep::Flush => bench.wait_stored(),
                    TroubleStep::Read => read_now(&mut reader, &mut seen, expected.len()).await,
                }
            }
            let shown = bench.finish();
            read_now(&mut reader, &mut seen, expected.len()).await;
            assert!(reader.next_page().await.is_none());
            assert_eq!(seen, expected);
            let shown: Vec<String> = shown.lines().map(|line| line.replace(" | ", " ")).collect();
            assert_eq!(shown, expected);
            for service in ["api", "web"] {
                assert_eq!(bench.logs.counts(&name(service)).dropped, 0);
            }
        });
    }
}

#[tokio::test]
async fn late_reader_counts_removed_lines() {
    let bench = LogFixture::new(false);
    bench.run("api", 1, "one\ntwo\n");
    std::fs::remove_file(bench.dir().join("api.log")).unwrap();
    bench.logs.inner.service_logs()[0].look_now();
    bench.run("api", 2, "three\n");
    let page = bench.logs.reader(None, usize::MAX, false).next_page().await.unwrap();
    assert_eq!(
        (page.missed.total().lines, texts(&page.records)),
        (2, vec!["api three".to_owned()])
    );
    let page = bench.logs.reader(None, 5, false).next_page().await.unwrap();
    assert_eq!((page.missed.total().lines, page.records.len()), (0, 1));
}

#[test]
fn many_threads_at_once_and_an_output_that_comes_and_goes() {
    const LINES: usize = 3000;
    let bench = LogFixture::with(false, GatedOutput::shut());
    let padding = "x".repeat(2000);
    thread::scope(|scope| {
        for service in ["a", "b", "c", "d"] {
            let (logs, padding) = (bench.logs.clone(), &padding);
            scope.spawn(move || {
                let (mut capture, _) = logs.capture(&name(service), RunId(1), Vec::new());
                for i in 0..LINES {
                    capture.push(OutputStream::Stdout, format!("{i} {padding}\n").as_bytes());
                    if i == LINES / 2 {
                        logs.write_status(crate::log::StatusText::stack_wide(
                            crate::log::StatusTone::Plain,
                            "half",
                        ));
                    }
                }
            });
        }
        let screen = bench.screen.clone();
        scope.spawn(move || {
            screen.wait_for_printer();
            screen.open_gate();
        });
    });
    let shown = bench.finish();
    assert_eq!(shown.lines().filter(|line| *line == " * half").count(), 4);
    for service in ["a", "b", "c", "d"] {
        let prefix = format!("{service} | ");
        let numbers = shown.lines().filter_map(|line| line.strip_prefix(&prefix));
        let numbers: Vec<&str> = numbers.map(|line| line.split(' ').next().unwrap()).collect();
        let expected: Vec<String> = (0..LINES).map(|i| i.to_string()).collect();
        assert!(numbers == expected, "{service}");
    }
    assert_eq!(shown.lines().count(), 4 * LINES + 4);
    let stored = bench.stored();
    assert_eq!(stored.len(), 4 * LINES);
    assert!(stored.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}
