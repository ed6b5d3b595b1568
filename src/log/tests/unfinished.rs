//! Lines whose end has not come: prompts.

use super::*;
use crate::log::capture::LogCapture;
use crate::log::{LogLine, StatusText, StatusTone};

/// Lets the time pass after which a line is shown without its end.
fn be_quiet(capture: &mut LogCapture) {
    let at = capture.quiet_at().expect("a line without its end");
    capture.quiet(at);
    assert_eq!(capture.quiet_at(), None);
}

#[test]
fn a_prompt_is_shown_and_completed_in_place() {
    let bench = LogFixture::new(false);
    let (mut api, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    api.push(OutputStream::Stdout, b"one\nContinue?");
    assert_eq!(bench.logs.tail(&name("api"), 9), ["one"], "not quiet yet");
    be_quiet(&mut api);
    assert_eq!(bench.logs.tail(&name("api"), 9), ["one", "Continue?"]);
    api.push(OutputStream::Stdout, b" [y/N] ");
    be_quiet(&mut api);
    api.push(OutputStream::Stdout, b"y\ndone\n");
    api.close();
    assert_eq!(bench.finish(), "api | one\napi | Continue? [y/N] y\napi | done\n");
    assert_eq!(bench.file("api.log"), b"one\nContinue? [y/N] y\ndone\n");
    assert_eq!(texts(&bench.stored()), ["api one", "api Continue? [y/N] y", "api done"]);
}

#[test]
fn a_line_that_was_interrupted_is_repeated_whole() {
    let bench = LogFixture::new(false);
    let (mut api, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    for what in ["web", "stderr", "said"] {
        api.push(OutputStream::Stdout, b"Sure? ");
        be_quiet(&mut api);
        match what {
            "web" => bench.run("web", 2, "other\n"),
            "stderr" => api.push(OutputStream::Stderr, b"other\n"),
            _ => bench.logs.write_status(StatusText::stack_wide(StatusTone::Plain, "other")),
        }
        api.push(OutputStream::Stdout, b"yes\n");
    }
    // The end of a run, and a line that only begins in the same way.
    api.push(OutputStream::Stdout, b"> ");
    be_quiet(&mut api);
    api.close();
    bench.run("api", 3, "> 2\n");
    let sure = "api | Sure? \n";
    let repeated = "api | Sure? yes\n";
    assert_eq!(
        bench.finish(),
        format!(
            "{sure}web | other\n{repeated}{sure}api | other\n{repeated}{sure} * other\n{repeated}\
             api | > \napi | > 2\n"
        )
    );
}

#[test]
fn what_overwrites_itself_or_cannot_be_seen_is_shown_when_it_ends() {
    let bench = LogFixture::new(true);
    let (mut api, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    for part in ["\r10%", "\r20%", "\r30%"] {
        api.push(OutputStream::Stdout, part.as_bytes());
        be_quiet(&mut api);
    }
    api.push(OutputStream::Stdout, b"\n\x1b[?25l");
    be_quiet(&mut api);
    api.push(OutputStream::Stdout, b"\x1b[31mred");
    be_quiet(&mut api);
    api.push(OutputStream::Stdout, b"der\x1b[0m\n");
    api.close();
    let shown = bench.finish();
    let plain = anstream::adapter::strip_str(&shown).to_string();
    assert_eq!(plain, "api | 10%\napi | 30%\napi | redder\n");
    assert!(shown.ends_with("\x1b[31mred\x1b[0m\x1b[31mder\x1b[0m\n"), "{shown:?}");
}

#[tokio::test]
async fn a_prompt_counts_for_readiness() {
    let bench = LogFixture::new(false);
    let pattern = regex::bytes::Regex::new("^Listening on [0-9]+").unwrap();
    let (mut api, mut found) = bench.logs.capture(&name("api"), RunId(1), vec![pattern]);
    api.push(OutputStream::Stderr, b"Listening on 8000");
    be_quiet(&mut api);
    assert_eq!(found.remove(0).await.unwrap(), "Listening on 8000");
}

#[test]
fn each_stream_has_its_own_quiet() {
    let bench = LogFixture::new(false);
    let (mut api, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    api.push(OutputStream::Stdout, b"Name: ");
    let at = api.quiet_at();
    api.push(OutputStream::Stderr, b"noise\n");
    assert_eq!(api.quiet_at(), at);
    be_quiet(&mut api);
    assert_eq!(bench.logs.tail(&name("api"), 9), ["noise", "Name: "]);
}

#[tokio::test]
async fn readers_get_it_only_if_they_ask_and_then_the_whole_line() {
    let bench = LogFixture::new(false);
    let (mut api, _) = bench.logs.capture(&name("api"), RunId(1), Vec::new());
    api.push(OutputStream::Stdout, b"one\nSure? ");
    be_quiet(&mut api);
    let wanted = || LineFilter { unfinished: true, ..LineFilter::default() };
    let mut follower = bench.logs.search(None, usize::MAX, true, wanted());
    let text = |line: &LogLine| (String::from_utf8_lossy(&line.line).into_owned(), line.unfinished);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let page = follower.next_page().await.unwrap();
        seen.extend(page.records.iter().chain(&page.unfinished).map(text));
    }
    api.push(OutputStream::Stdout, b"yes\n");
    seen.extend(follower.next_page().await.unwrap().records.iter().map(text));
    let line = |text: &str, unfinished| (text.to_owned(), unfinished);
    assert_eq!(seen, [line("one", false), line("Sure? ", true), line("Sure? yes", false)]);

    api.push(OutputStream::Stdout, b"More? ");
    be_quiet(&mut api);
    for (wanted, expected) in [(wanted(), 3), (LineFilter::default(), 2)] {
        let mut reader = bench.logs.search(None, usize::MAX, false, wanted);
        let mut count = 0;
        while let Some(page) = reader.next_page().await {
            count += page.items.len();
        }
        assert_eq!(count, expected);
    }
}
