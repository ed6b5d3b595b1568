use proptest::prelude::*;

use super::*;
use crate::log::MAX_LINE;

/// Pushes `bytes` in pieces of these sizes, repeated; returns the file and the printed text.
fn through(bytes: &[u8], sizes: &[usize]) -> (Vec<u8>, String) {
    let bench = LogFixture::new(false);
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
    assert_eq!(shown, "api | one\napi | \napi | two\napi | no end\n");
}

#[test]
fn a_long_line_is_stored_in_pieces_and_shown_whole() {
    let mut text = vec![b'x'; 2 * MAX_LINE + 10];
    text.extend(b"\nnext\n");
    let (file, shown) = through(&text, &[10_000]);
    assert_eq!(file, text);
    let lines: Vec<&str> = shown.lines().collect();
    let starts: Vec<(&str, usize)> =
        lines.iter().map(|line| (&line[..6], line.len() - 6)).collect();
    assert_eq!(starts, [("api | ", 2 * MAX_LINE + 10), ("api | ", 4)]);
}

#[test]
fn long_lines_of_two_services_are_not_mixed_and_count_once() {
    let bench = LogFixture::new(false);
    let (mut api, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    let (mut web, _) = bench.logs.capture(&name("web"), RunId(2), Vec::new());
    for _ in 0..5 {
        api.push(OutputStream::Stdout, &[b'a'; MAX_LINE]);
        web.push(OutputStream::Stdout, &[b'w'; MAX_LINE]);
        web.push(OutputStream::Stderr, b"short\n");
    }
    web.push(OutputStream::Stdout, b"\nlast\n");
    api.push(OutputStream::Stdout, b"\n");
    drop((api, web));
    let long = |c: &str| c.repeat(5 * MAX_LINE);
    let lines = |all: &[crate::log::LogLine]| -> Vec<String> {
        all.iter().map(|line| String::from_utf8(line.line.clone()).unwrap()).collect()
    };
    bench.wait_stored();
    let last = |name: &str, count| {
        let only = [Name::new(name).unwrap()];
        let pages = stored_pages(&bench.dir(), Some(&only), count, LineFilter::default());
        let all: Vec<_> = pages.flat_map(|page| page.records).collect();
        assert!(all.iter().all(|line| !line.open && !line.continues));
        lines(&all)
    };
    assert!(last("api", 1) == [long("a")]);
    assert!(last("web", 1) == ["last"]);
    assert!(last("web", 2) == [long("w"), "last".to_owned()]);
    let all: Vec<String> = vec!["short".to_owned(); 3];
    assert!(last("web", 5) == [all, vec![long("w"), "last".to_owned()]].concat());
    let live = async {
        let only = Some(vec![name("web")]);
        let mut reader = bench.logs.reader(only, 2, false);
        let mut all = Vec::new();
        while let Some(page) = reader.next_page().await {
            all.extend(page.records);
        }
        all
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(lines(&runtime.block_on(live)) == [long("w"), "last".to_owned()]);
    let shown = bench.finish();
    let whole = format!("web | {}\nweb | last\napi | {}\n", long("w"), long("a"));
    assert!(shown == "web | short\n".repeat(5) + &whole);
}

#[test]
fn a_line_without_end_is_never_held() {
    let bench = LogFixture::new(false);
    let (mut capture, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    let piece = vec![b'x'; MAX_LINE];
    for _ in 0..512 {
        capture.push(OutputStream::Stdout, &piece);
        assert!(bench.logs.inner.queue.bytes() <= crate::log::shared::PrintQueue::MAX_BYTES);
        if capture.full().is_some() {
            bench.wait_stored();
        }
    }
    capture.close();
    bench.finish();
    assert_eq!(bench.file("api.log").len(), 512 * MAX_LINE);
    let parts: Vec<usize> = bench.stored().iter().map(|line| line.line.len()).collect();
    assert_eq!(parts, [256 * MAX_LINE; 2]);
}

#[test]
fn each_stream_is_stored_in_order_and_whole() {
    let bench = LogFixture::new(false);
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
        let bench = LogFixture::new(true);
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
    let bench = LogFixture::new(false);
    let pattern = |text| vec![regex::bytes::Regex::new(text).unwrap()];
    let (mut capture, mut found) = bench.logs.capture(&name("a"), RunId(1), pattern("^done$"));
    capture.push(OutputStream::Stdout, b"done");
    capture.close();
    assert_eq!(found.remove(0).await.unwrap(), "done");

    let (mut capture, mut found) = bench.logs.capture(&name("b"), RunId(2), pattern("^begin"));
    capture.push(OutputStream::Stdout, &[&b"begin"[..], &vec![b'x'; 3 * MAX_LINE]].concat());
    assert_eq!(found.remove(0).await.unwrap().len(), MAX_LINE);

    // Across two pieces, and at the end.
    let (mut capture, mut found) = bench.logs.capture(&name("d"), RunId(4), pattern("ready$"));
    capture.push(OutputStream::Stdout, &vec![b'x'; MAX_LINE - 2]);
    capture.push(OutputStream::Stdout, b"re");
    capture.push(OutputStream::Stdout, &[&vec![b'x'; 3 * MAX_LINE - 2][..], b"ready\n"].concat());
    assert_eq!(found.remove(0).await.unwrap().len(), 4 * MAX_LINE + 3);

    let (mut capture, mut found) = bench.logs.capture(&name("c"), RunId(3), pattern("never"));
    capture.push(OutputStream::Stdout, b"other\n");
    drop(capture);
    assert!(found.remove(0).await.is_err());
}

#[test]
fn each_service_and_devstack_itself_in_order() {
    let bench = LogFixture::new(false);
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

#[tokio::test]
async fn each_state_of_a_line_that_overwrites_itself_is_matched() {
    for pattern in ["^listening", "^10%$", "done$", "\\r"] {
        let bench = LogFixture::new(false);
        let patterns = vec![regex::bytes::Regex::new(pattern).unwrap()];
        let (mut api, mut found) = bench.logs.capture(&name("api"), RunId(1), patterns);
        api.push(OutputStream::Stdout, b"10%\r\rlistening\r\x1b[32mdone\x1b[0m\r\n");
        api.close();
        let matched = found.remove(0).await;
        assert_eq!(matched.is_ok(), pattern != "\\r", "{pattern}");
    }
}
