//! Requests for people.

use std::fmt::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Effects, Style};
use hyper::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::{DisplayDuration, DisplaySize, Name};
use crate::proxy::{ExchangeEnd, ExchangeRecord, RecordedMessage};
use crate::text::{clean, one_line};

/// One line per request. The columns are as wide as they ever get, because more requests may follow.
pub(super) struct ExchangeRows {
    service: usize,
    zone: TimeZone,
    color: bool,
}

impl ExchangeRows {
    /// For requests to these services.
    pub fn new<'n>(services: impl Iterator<Item = &'n Name>, color: bool) -> ExchangeRows {
        let widths = services.map(|name| name.as_str().len());
        let service = widths.chain(["SERVICE".len()]).max().unwrap_or_default();
        ExchangeRows { service, zone: TimeZone::system(), color }
    }

    pub fn header(&self) -> String {
        let bold = if self.color { Style::new().effects(Effects::BOLD) } else { Style::new() };
        let names = ["ID", "TIME", "SERVICE", "RUN", "METHOD", "STATUS", "TOOK", "SIZE"];
        format!("{bold}{}  PATH{bold:#}\n", self.cells(names.map(str::to_owned)))
    }

    pub fn line(&self, record: &ExchangeRecord) -> String {
        let style = if self.color { style(record) } else { Style::new() };
        let at = Timestamp::from_millisecond(record.at).unwrap_or_default();
        let size = record.response.as_ref().map(|response| DisplaySize(response.bytes).to_string());
        let cells = self.cells([
            record.id.to_string(),
            at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string(),
            record.replica.as_ref().unwrap_or(&record.service).to_string(),
            record.run.map_or("-".to_owned(), |run| run.to_string()),
            one_line(&record.method),
            record.status.map_or("-".to_owned(), |status| status.to_string()),
            record.total_ms.map_or("open".to_owned(), display_time),
            size.unwrap_or("-".to_owned()),
        ]);
        let notes: String = notes(record).iter().map(|note| format!("  ({note})")).collect();
        format!("{style}{cells}  {}{notes}{style:#}\n", one_line(&record.target))
    }

    fn cells(&self, cells: [String; 8]) -> String {
        let [id, time, service, run, method, status, took, size] = cells;
        let width = self.service;
        format!(
            "{id:>5}  {time:<8}  {service:<width$}  {run:<4}  {method:<7}  {status:<6}  {took:>7}  {size:>7}"
        )
    }
}

fn style(record: &ExchangeRecord) -> Style {
    match (record.end, record.status) {
        (Some(ExchangeEnd::Broken | ExchangeEnd::Refused), _) | (_, Some(500..)) => {
            AnsiColor::Red.on_default()
        }
        (_, Some(400..)) => AnsiColor::Yellow.on_default(),
        _ => Style::new(),
    }
}

/// Returns what is unusual about a request.
fn notes(record: &ExchangeRecord) -> Vec<String> {
    let mut notes = Vec::new();
    if record.parked_ms >= 1.0 {
        notes.push(format!("waited {}", display_time(record.parked_ms)));
    }
    if let Some(protocol) = &record.upgrade {
        let sent = DisplaySize(record.request.bytes);
        notes.push(format!("{} {sent} sent", one_line(protocol)));
    }
    let error = record.error.as_deref().map(one_line).unwrap_or_default();
    match record.end {
        Some(ExchangeEnd::Refused) => notes.push(format!("devstack: {error}")),
        Some(ExchangeEnd::Broken) => notes.push(format!("broken: {error}")),
        Some(ExchangeEnd::ClientLeft) => notes.push("the client disconnected".to_owned()),
        Some(ExchangeEnd::Done) | None => {}
    }
    notes
}

/// Returns all that is known about a request.
pub(super) fn whole(record: &ExchangeRecord) -> String {
    let at = Timestamp::from_millisecond(record.at).unwrap_or_default();
    let at = at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f");
    let mut by = record.replica.as_ref().unwrap_or(&record.service).to_string();
    if let Some(run) = record.run {
        by += &format!(", run {run}");
    }
    let first = record.first_byte_ms.map(|ms| format!("first byte after {}", display_time(ms)));
    let total = record.total_ms.map(|ms| format!("done after {}", display_time(ms)));
    let times: Vec<String> = first.into_iter().chain(total).collect();
    let mut text = format!("request {} at {at} to {by}\n", record.id);
    for note in notes(record).into_iter().chain(record.end.is_none().then(|| "open".to_owned())) {
        let _ = writeln!(text, "{note}");
    }
    if !times.is_empty() {
        let _ = writeln!(text, "{}", times.join(", "));
    }
    let _ = write!(
        text,
        "\n{} {}://{}{} {}\n{}",
        one_line(&record.method),
        one_line(&record.scheme),
        one_line(&record.host),
        one_line(&record.target),
        record.version,
        message(&record.request, record.upgrade.is_some())
    );
    if let (Some(status), Some(response)) = (record.status, &record.response) {
        let _ = write!(
            text,
            "\n{}\n{}",
            display_status(status),
            message(response, record.upgrade.is_some())
        );
    }
    text
}

fn message(message: &RecordedMessage, upgraded: bool) -> String {
    let mut text = String::new();
    for (name, value) in message.headers.iter() {
        let _ = writeln!(text, "{name}: {}", one_line(value));
    }
    if message.bytes == 0 || upgraded {
        return text;
    }
    let (kept, all) = (message.body.len() as u64, DisplaySize(message.bytes));
    let _ = match message.text() {
        _ if kept == 0 => writeln!(text, "\n({all}, not recorded)"),
        // An encoding such as gzip, an image.
        None => writeln!(text, "\n({all}, not text)"),
        Some(body) => writeln!(text, "\n{}", clean(body, false).trim_end_matches('\n')),
    };
    if message.text().is_some() && kept > 0 && kept < message.bytes {
        let _ = writeln!(text, "(the first {} of {all})", DisplaySize(kept));
    }
    text
}

/// Returns `201 Created`.
pub(super) fn display_status(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    match reason {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}

/// Returns `0.4ms`, `12ms` or `1.5s`.
pub(super) fn display_time(ms: f64) -> String {
    if ms < 10.0 {
        return format!("{ms:.1}ms");
    }
    // Large or odd numbers can only come from another version.
    DisplayDuration(Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()).to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// `POST /path 503`: a request to `api` that took 12 ms. A dash: one that has no answer yet.
    pub fn record(text: &str) -> ExchangeRecord {
        let [method, target, status] = text.split(' ').collect::<Vec<_>>()[..] else { panic!() };
        let status: Option<u16> = status.parse().ok();
        let message = json!({ "headers": [["content-type", "text/plain"]], "bytes": 5, "whole": true, "body": "hello" });
        let answered = status.is_some();
        serde_json::from_value(json!({
            "id": 17, "at": "2026-11-20T09:00:00.120Z", "service": "api",
            "replica": answered.then_some("api-1"), "run": answered.then_some(3),
            "version": "HTTP/1.1", "method": method, "host": "api.shop.localhost:7780",
            "target": target, "status": status, "end": answered.then_some("done"),
            "parked_ms": 0.0, "first_byte_ms": answered.then_some(11.5), "total_ms": answered.then_some(12.25),
            "request": message, "response": answered.then_some(message.clone()),
        }))
        .unwrap()
    }

    /// Adds a header at the end.
    pub fn add_header(message: &mut RecordedMessage, name: &str, value: &str) {
        message.headers = message.headers.iter().chain([(name, value)]).collect();
    }

    fn rows() -> ExchangeRows {
        ExchangeRows { zone: TimeZone::UTC, ..ExchangeRows::new([].into_iter(), false) }
    }

    #[test]
    fn a_request_is_a_line() {
        let mut odd = record("POST /a\x1b[2J\n 503");
        odd.end = Some(ExchangeEnd::Refused);
        odd.error = Some("api failed:\n\x1b]0;x\x07".to_owned());
        odd.parked_ms = 1_500.0;
        let mut left = record("GET /b 200");
        left.end = Some(ExchangeEnd::ClientLeft);
        let mut socket = record("GET /ws 101");
        socket.upgrade = Some("websocket".to_owned());
        let lines = [record("GET /x?a=1 200"), odd, left, socket, record("GET /slow -")];
        let lines: String = lines.iter().map(|record| rows().line(record)).collect();
        insta::assert_snapshot!(rows().header() + &lines);
    }

    #[test]
    fn one_request_is_shown_as_a_whole() {
        let mut cut = record("PUT /a\u{202e} 201");
        cut.request.bytes = 70_000;
        cut.request.whole = false;
        let response = cut.response.as_mut().unwrap();
        add_header(response, "x-evil", "\x1b[31mred");
        response.body = b"a\x1b[2Jb\r\n\tc\n".to_vec();
        response.bytes = response.body.len() as u64;
        let text = whole(&cut);
        let (_, rest) = text.split_once(" to ").unwrap();
        insta::assert_snapshot!(rest);
        let mut binary = record("GET / 200");
        binary.response.as_mut().unwrap().body = vec![0xff; 5];
        binary.request.body.clear();
        let text = whole(&binary);
        assert!(text.ends_with("\n(5 B, not text)\n"), "{text}");
        assert!(text.contains("\n(5 B, not recorded)\n\n200 OK\n"), "{text}");
    }
}
