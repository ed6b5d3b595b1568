use proptest::prelude::*;

use super::*;
use crate::log::MAX_LINE;

/// Pushes `bytes` in pieces of these sizes, repeated; returns the file and the printed text.
fn through(bytes: &[u8], sizes: &[usize]) -> (Vec<u8>, String) {
    let bench = LogFixture::new(EscapeMode::Keep);
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    let mut sizes = sizes.iter().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        capture.push(OutputStream::Stdout, piece);
        rest = after;
    }
    capture.close();
    let shown = bench.finish();
    (if bytes.is_empty() { Vec::new() } else { bench.file("api.log") }, shown)
}

#[test]
fn lines_get_their_name_and_the_file_gets_the_bytes() {
    let (file, shown) = through(b"one\n\ntwo\r\nno end", &[3]);
    assert_eq!(file, b"one\n\ntwo\r\nno end");
    assert_eq!(shown, "api | one\napi | \napi | two\r\napi | no end\n");
}

#[test]
fn a_long_line_comes_in_pieces_and_memory_stays_small() {
    let mut text = vec![b'x'; 2 * MAX_LINE + 10];
    text.extend(b"\nnext\n");
    let (file, shown) = through(&text, &[10_000]);
    assert_eq!(file, text);
    let lines: Vec<&str> = shown.lines().collect();
    let starts: Vec<(&str, usize)> =
        lines.iter().map(|line| (&line[..6], line.len() - 6)).collect();
    assert_eq!(starts, [("api | ", MAX_LINE), ("api > ", MAX_LINE), ("api > ", 10), ("api | ", 4)]);
}

#[test]
fn a_line_without_end_is_never_held() {
    let bench = LogFixture::new(EscapeMode::Keep);
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    let piece = vec![b'x'; MAX_LINE];
    for _ in 0..512 {
        capture.push(OutputStream::Stdout, &piece);
        assert!(bench.logs.inner.queue.bytes() <= crate::log::format::PrintQueue::MAX_BYTES);
        if capture.full().is_some() {
            bench.wait_stored();
        }
    }
    capture.close();
    bench.finish();
    assert_eq!(bench.file("api.log").len(), 512 * MAX_LINE);
    assert_eq!(bench.stored().len(), 512);
}

#[test]
fn each_stream_is_stored_in_order_and_whole() {
    let bench = LogFixture::new(EscapeMode::Keep);
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    let mut sent = [Vec::new(), Vec::new()];
    for i in 0..5000u32 {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let text = format!("{stream:?} line {i}\n");
            let (a, b) = text.split_at(i as usize % text.len());
            capture.push(stream, a.as_bytes());
            sent[stream as usize].extend(text.bytes());
            capture.push(stream, b.as_bytes());
        }
    }
    drop(capture);
    bench.finish();
    let records = bench.stored();
    for stream in [OutputStream::Stdout, OutputStream::Stderr] {
        let ours = records.iter().filter(|record| record.stream == stream);
        let bytes: Vec<u8> = ours.flat_map(|r| [&r.line[..], b"\n"].concat()).collect();
        assert!(bytes == sent[stream as usize], "{stream:?}");
    }
    let counts = bench.logs.counts(&name("api"));
    let all = (sent[0].len() + sent[1].len()) as u64;
    assert_eq!((counts.taken, counts.stored, counts.held(), counts.dropped), (all, all, 0, 0));
    let seqs: Vec<u64> = records.iter().map(|record| record.seq).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test]
async fn a_pattern_is_found_wherever_the_reads_end() {
    let pattern = || regex::bytes::Regex::new("ready on [0-9]+$").unwrap();
    let text = b"starting\n\x1b[1mready\x1b[0m on 5001\r\nready on 7\n";
    for at in 0..text.len() {
        let bench = LogFixture::new(EscapeMode::Colors);
        let (mut capture, found) =
            bench.logs.capture(&name("api"), RunId(1), vec![pattern(), pattern()]);
        capture.push(OutputStream::Stderr, &text[..at]);
        capture.push(OutputStream::Stderr, &text[at..]);
        for found in found {
            assert_eq!(found.await.unwrap(), "ready on 5001", "cut at {at}");
        }
    }
}

#[tokio::test]
async fn a_pattern_is_found_in_the_last_line_and_in_the_start_of_a_long_one() {
    let bench = LogFixture::new(EscapeMode::Keep);
    let pattern = |text| vec![regex::bytes::Regex::new(text).unwrap()];
    let (mut capture, mut found) = bench.logs.capture(&name("a"), RunId(1), pattern("^done$"));
    capture.push(OutputStream::Stdout, b"done");
    capture.close();
    assert_eq!(found.remove(0).await.unwrap(), "done");

    let (mut capture, mut found) = bench.logs.capture(&name("b"), RunId(2), pattern("^begin"));
    capture.push(OutputStream::Stdout, &[&b"begin"[..], &vec![b'x'; 3 * MAX_LINE]].concat());
    assert_eq!(found.remove(0).await.unwrap().len(), MAX_LINE);

    let (mut capture, mut found) = bench.logs.capture(&name("c"), RunId(3), pattern("never"));
    capture.push(OutputStream::Stdout, b"other\n");
    drop(capture);
    assert!(found.remove(0).await.is_err());
}

#[test]
fn each_service_and_devstack_itself_in_order() {
    let bench = LogFixture::new(EscapeMode::Keep);
    bench.logs.set_services(&[(name("api"), None), (name("worker"), None)]);
    bench.run("api", 1, "one\n");
    bench.logs.write_status(crate::log::StatusText::about(
        &name("worker"),
        crate::log::StatusTone::Plain,
        "starting \x1b]0;evil\x07\nhelp: none",
    ));
    bench.run("worker", 2, "two\n");
    assert_eq!(
        bench.finish(),
        "api    | one\nworker * starting \n         help: none\nworker | two\n"
    );
}

/// Mostly lines, some of them long, with arbitrary bytes.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..60),
        4 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => (0..3usize, any::<u8>())
            .prop_map(|(over, byte)| vec![byte; MAX_LINE - 1 + over]),
        1 => (0..3usize).prop_map(|over| [&b"xyz"[over..], &"ä".repeat(MAX_LINE).into_bytes()].concat()),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn how_it_is_cut_into_reads_changes_nothing(
        bytes in output(),
        sizes in proptest::collection::vec(1..150_000usize, 1..6),
    ) {
        let whole = through(&bytes, &[usize::MAX]);
        prop_assert!(whole.0 == bytes);
        let cut = through(&bytes, &sizes);
        prop_assert!(cut.0 == bytes);
        prop_assert!(cut.1 == whole.1);
    }
}
