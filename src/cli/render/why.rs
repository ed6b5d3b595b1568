use std::time::Duration;

use anstyle::{Effects, Style};
use jiff::Timestamp;

use super::ps::{age, phase_style};
use crate::log::EXCERPT;
use crate::model::{BlockedOn, DisplayDuration, PastRun, PortStatus, WhyView};
use crate::text::one_line;

const LABEL: usize = 9;

/// Explains a service's state on one screen. Empty sections are omitted.
pub(crate) fn why_text(why: &WhyView, now: Timestamp, color: bool) -> String {
    let mut page = WhyPage { text: String::new(), color };
    page.head(why, now);
    page.section("next", [next(why)]);
    page.section("waits for", why.waits.iter().map(waited));
    page.section(
        "probe",
        why.probe.iter().flat_map(|probe| lines(&format!("{}: {}", probe.probe, probe.text))),
    );
    page.section("exits", why.exits.iter().map(|exit| past(exit, now)));
    page.section(
        "file",
        why.trigger.iter().map(|trigger| {
            format!("{} changed {} ago: {}", trigger.path, age(&trigger.at, now), trigger.action)
        }),
    );
    page.section("ports", why.ports.iter().map(port));
    page.section("listens", listens(why));
    page.section("log", log(why).iter().cloned());
    page.text
}

struct WhyPage {
    text: String,
    color: bool,
}

impl WhyPage {
    fn head(&mut self, why: &WhyView, now: Timestamp) {
        let service = &why.service;
        let style = phase_style(service.phase, self.color);
        let since = age(&service.since, now);
        let (name, phase) = (&service.name, service.phase);
        self.block(&format!("{name}: {style}{phase}{style:#} for {since}: "), &service.cause);
        let Some(message) = &service.message else { return };
        if message.text != service.cause {
            self.block("  ", &message.text);
        }
        if !message.help.is_empty() {
            self.line("  help: ", &message.help);
        }
        if !message.detail.is_empty() {
            self.line("  ", &message.detail);
        }
    }

    fn section(&mut self, label: &str, lines: impl IntoIterator<Item = String>) {
        let bold = if self.color { Style::new().effects(Effects::BOLD) } else { Style::new() };
        for (at, line) in lines.into_iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            self.line(&format!("{bold}{label:LABEL$}{bold:#}  "), &line);
        }
    }

    /// Adds a text with its lines; those after the first are indented.
    fn block(&mut self, before: &str, text: &str) {
        let mut lines = text.lines();
        self.line(before, lines.next().unwrap_or_default());
        lines.for_each(|line| self.line("  ", line));
    }

    /// Adds one line, with control characters removed from `what`.
    fn line(&mut self, before: &str, what: &str) {
        self.text.push_str(before);
        self.text.push_str(&one_line(what));
        self.text.push('\n');
    }
}

fn next(why: &WhyView) -> String {
    match why.next.in_ms {
        // The seconds of a minute are enough.
        Some(ms @ 10_000..) => format!(
            "{} in {}",
            why.next.text,
            DisplayDuration(Duration::from_secs(ms.saturating_add(500) / 1000))
        ),
        Some(ms) => format!("{} in {}", why.next.text, DisplayDuration(Duration::from_millis(ms))),
        None => why.next.text.clone(),
    }
}

fn waited(waited: &BlockedOn) -> String {
    let condition = waited.condition.map_or(String::new(), |condition| format!(" ({condition})"));
    format!("{}{condition}: {}, {}", waited.service, waited.phase, waited.cause)
}

fn past(past: &PastRun, now: Timestamp) -> String {
    let lived =
        past.lived_ms.map(|ms| format!(", ran for {}", DisplayDuration(Duration::from_millis(ms))));
    let (start, ago, by) = (past.start, age(&past.at, now), past.by.as_str());
    let note = past.note.as_ref().map_or(String::new(), |note| format!("; {note}"));
    format!("start {start}, {ago} ago: {}, {by}{}{note}", past.exit, lived.unwrap_or_default())
}

fn port(port: &PortStatus) -> String {
    let moved = match (port.wanted.filter(|wanted| *wanted != port.given), &port.moved) {
        (_, Some(moved)) => format!(": {moved}"),
        (Some(wanted), None) => format!(", wanted {wanted}"),
        (None, None) => String::new(),
    };
    let pinned = if port.pinned { ", pinned" } else { "" };
    let listens = match port.listens {
        Some(true) => "; listening",
        Some(false) => "; not listening",
        None => "",
    };
    format!("{} {}{pinned}{moved}{listens}", port.name, port.given)
}

/// Returns where the service listens other than at its ports.
fn listens(why: &WhyView) -> Option<String> {
    let given: Vec<u16> = why.ports.iter().map(|port| port.given).collect();
    let all = why.service.listening.as_ref()?.iter();
    let elsewhere =
        all.filter(|address| address.tcp().is_none_or(|at| !given.contains(&at.port())));
    let elsewhere: Vec<String> = elsewhere.map(ToString::to_string).collect();
    (!elsewhere.is_empty()).then(|| elsewhere.join(", "))
}

/// Returns the last log lines without those that the message already shows.
fn log(why: &WhyView) -> &[String] {
    let text = why.service.message.as_ref().map_or("", |message| &message.text);
    let shown: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(EXCERPT)).collect();
    let rest = why.log.len().saturating_sub(shown.len());
    if why.log[rest..] == shown[..] { &why.log[..rest] } else { &why.log }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::why;
    use crate::model::{Message, MessageClass};

    fn now() -> Timestamp {
        "2026-11-20T09:00:12Z".parse().unwrap()
    }

    #[test]
    fn everything_there_is_to_say_is_on_one_screen() {
        let text = why_text(&why(), now(), false);
        assert!(text.lines().count() <= 24, "{text}");
        insta::assert_snapshot!(text);
        let colored = why_text(&why(), now(), true);
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), text);
    }

    #[test]
    fn attempts_in_a_row_and_all_starts_have_different_names() {
        let text = why_text(&why(), now(), false);
        assert!(text.contains("next       attempt 3 in "), "{text}");
        assert!(text.contains("exits      start 2, ") && !text.contains('#'), "{text}");
    }

    #[test]
    fn what_a_failed_build_printed_is_shown_once() {
        let mut why = why();
        let text = "`make` failed (exit 2)\n  | no such type\n  | at main.c";
        why.service.message = Some(Message::new(MessageClass::Build, text));
        why.log = ["old", "no such type", "at main.c"].map(str::to_owned).into();
        let text = why_text(&why, now(), false);
        assert_eq!(text.matches("no such type").count(), 1, "{text}");
        assert!(text.contains("log        old\n"), "{text}");
        why.log.push("later".to_owned());
        assert!(why_text(&why, now(), false).contains("           at main.c\n"));
    }

    #[test]
    fn nothing_in_it_is_obeyed_by_the_terminal() {
        let evil = "a\u{1b}]0;owned\u{7}\r\u{9b}31m\u{202e}";
        let mut why = why();
        why.log = vec![evil.to_owned()];
        why.service.cause = evil.to_owned();
        why.probe.as_mut().unwrap().text = format!("{evil}\n{evil}");
        why.trigger.as_mut().unwrap().path = evil.to_owned();
        let text = why_text(&why, now(), false);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}
