use std::fmt::Write;
use std::iter;
use std::time::Duration;

use anstyle::{AnsiColor, Effects, Style};
use jiff::Timestamp;

use super::table::{EMPTY_CELL, Table, TableCell};

use crate::model::{
    DebugView, DisplayAge, DisplaySize, Phase, ServiceView, Snapshot, listening_port,
};
use crate::supervisor::status::network_lines;
use crate::text::one_line;

struct TableColumn {
    head: &'static str,
    cell: fn(&ServiceView, Timestamp) -> String,
}

const COLUMNS: &[TableColumn] = &[
    TableColumn { head: "SERVICE", cell: |service, _| service.name.to_string() },
    TableColumn { head: "PHASE", cell: |service, _| service.phase.to_string() },
    TableColumn { head: "AGE", cell: |service, now| age(&service.since, now) },
    TableColumn { head: "PID", cell: |service, _| or_none(service.pid) },
    TableColumn { head: "PORT", cell: |service, _| ports(service) },
    TableColumn { head: "RESTARTS", cell: |service, _| service.restarts.to_string() },
    TableColumn {
        head: "CPU",
        cell: |service, _| or_none(service.cpu_percent.map(|cpu| format!("{cpu:.1}%"))),
    },
    TableColumn {
        head: "MEMORY",
        cell: |service, _| or_none(service.memory_bytes.map(DisplaySize)),
    },
    TableColumn { head: "DEBUG", cell: |service, _| or_none(service.debug.as_ref().map(attach)) },
    TableColumn { head: "URL", cell: |service, _| or_none(url(service).map(one_line)) },
    TableColumn { head: "WHY", cell: |service, _| first_line(&service.cause) },
];

/// Formats services as a table, without empty columns, followed by messages.
pub(crate) fn ps_table(snapshot: &Snapshot, now: Timestamp, color: bool) -> String {
    let cells = |column: &TableColumn| -> Vec<String> {
        snapshot.services.iter().map(|service| (column.cell)(service, now)).collect()
    };
    let shown: Vec<(&TableColumn, Vec<String>)> = COLUMNS
        .iter()
        .map(|column| (column, cells(column)))
        .filter(|(column, cells)| {
            !matches!(column.head, "CPU" | "MEMORY" | "DEBUG")
                || cells.iter().any(|cell| cell != EMPTY_CELL)
        })
        .collect();
    let mut table = Table::new(3);
    table.header(shown.iter().map(|(column, _)| column.head), color);
    for (row, service) in snapshot.services.iter().enumerate() {
        let style = |column: &TableColumn| match column.head {
            "PHASE" => phase_style(service.phase, color),
            _ => Style::new(),
        };
        table.row(shown.iter().map(|(column, cells)| TableCell(cells[row].clone(), style(column))));
    }
    let mut text = table.render();
    for (at, line) in network_lines(snapshot).iter().enumerate() {
        let _ = writeln!(text, "{}{}", if at == 0 { "\n" } else { "" }, one_line(line));
    }
    messages_below(&mut text, &snapshot.services);
    text
}

/// Returns its name while it runs, or else its direct address, whose port is in another column.
fn url(service: &ServiceView) -> Option<&str> {
    let direct = service.url.as_deref()?;
    Some(service.origin.as_deref().unwrap_or(direct))
}

/// A table has room for the first line; the others are in `why`.
fn first_line(text: &str) -> String {
    one_line(text.lines().next().unwrap_or_default())
}

/// Appends messages that the table does not already contain.
fn messages_below(text: &mut String, services: &[ServiceView]) {
    let mut gap = "\n";
    for service in services {
        let Some(message) = &service.message else { continue };
        let help = format!("help: {}", one_line(&message.help));
        let lines = match (message.text == service.cause, message.help.is_empty()) {
            (true, true) => continue,
            (true, false) => one_line(&message.help),
            (false, true) => first_line(&message.text),
            (false, false) => format!("{}\n  {help}", first_line(&message.text)),
        };
        let _ = writeln!(text, "{gap}{}: {lines}", service.name);
        gap = "";
    }
}

pub(super) fn or_none(what: Option<impl ToString>) -> String {
    what.map_or(EMPTY_CELL.to_owned(), |what| what.to_string())
}

/// Formats ports: `5001 (wanted 5000), metrics 9100`, or `5000 (assigned 5001)`.
fn ports(service: &ServiceView) -> String {
    let Some(port) = service.port else { return EMPTY_CELL.to_owned() };
    let request = |wanted: Option<u16>, number: u16| match wanted.filter(|wanted| *wanted != number)
    {
        Some(wanted) => format!(" (wanted {wanted})"),
        None => String::new(),
    };
    let all: Vec<u16> = iter::once(port).chain(service.ports.values().copied()).collect();
    let actual = service.listening.as_ref().and_then(|listening| listening_port(&all, listening));
    let mut text = match actual.filter(|actual| *actual != port) {
        Some(actual) => format!("{actual} (assigned {port})"),
        None => format!("{port}{}", request(service.wanted_port, port)),
    };
    for (name, &number) in service.ports.iter().filter(|(_, number)| **number != port) {
        let wanted = service.wanted_ports.get(name).copied();
        let _ = write!(text, ", {} {number}{}", one_line(name), request(wanted, number));
    }
    text
}

fn attach(debug: &DebugView) -> String {
    match &debug.debugger {
        Some(debugger) => format!("{} at {}", one_line(debugger), one_line(&debug.attach)),
        None => one_line(&debug.attach),
    }
}

/// Formats how long ago `since` was.
pub(super) fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else { return EMPTY_CELL.to_owned() };
    // No negative ages if the clock was set back.
    let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    DisplayAge(age).to_string()
}

pub(crate) fn phase_style(phase: Phase, color: bool) -> Style {
    if !color {
        return Style::new();
    }
    match phase {
        Phase::Idle | Phase::Asleep => Style::new().effects(Effects::DIMMED),
        Phase::Waiting | Phase::Blocked | Phase::Starting | Phase::Stopping | Phase::Backoff => {
            AnsiColor::Yellow.on_default()
        }
        Phase::Ready | Phase::Done => AnsiColor::Green.on_default(),
        Phase::Unhealthy | Phase::Failed => AnsiColor::Red.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::snapshot;
    use crate::model::{Message, MessageClass};

    fn now() -> Timestamp {
        "2026-11-20T09:02:03Z".parse().unwrap()
    }

    #[test]
    fn a_stack_is_a_table() {
        insta::assert_snapshot!(ps_table(&snapshot(), now(), false));
    }

    #[test]
    fn phases_have_colours_and_columns_stay_aligned() {
        let colored = ps_table(&snapshot(), now(), true);
        assert!(colored.contains("\u{1b}[32mready\u{1b}[0m"), "{colored:?}");
        assert!(colored.contains("\u{1b}[31mfailed\u{1b}[0m"), "{colored:?}");
        let plain = anstream::adapter::strip_str(&colored).to_string();
        assert_eq!(plain, ps_table(&snapshot(), now(), false));
    }

    #[test]
    fn an_empty_stack_has_a_head() {
        let empty = Snapshot { services: Vec::new(), ..snapshot() };
        assert_eq!(ps_table(&empty, now(), false).lines().count(), 1);
    }

    #[test]
    fn nothing_in_it_is_obeyed_by_the_terminal() {
        let evil = "a\u{1b}]0;owned\u{7}\nb\r\u{9b}31m";
        let service = ServiceView {
            cause: evil.to_owned(),
            url: Some(evil.to_owned()),
            message: Some(Message::new(MessageClass::Port, evil).help(evil)),
            since: evil.to_owned(),
            ..ServiceView::sample("api", Phase::Failed)
        };
        let text = ps_table(&Snapshot { services: vec![service], ..snapshot() }, now(), false);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn where_to_attach_has_a_column_when_somebody_can() {
        assert!(!ps_table(&snapshot(), now(), false).contains("DEBUG"));
        let debug = DebugView {
            port: 5678,
            debugger: Some("debugpy".to_owned()),
            attach: "127.0.0.1:5678".to_owned(),
            listening: true,
        };
        let service =
            ServiceView { debug: Some(debug), ..ServiceView::sample("api", Phase::Ready) };
        let text = ps_table(&Snapshot { services: vec![service], ..snapshot() }, now(), false);
        let head = text.lines().next().unwrap_or_default();
        assert!(
            head.contains("   DEBUG   ") && text.contains("debugpy at 127.0.0.1:5678"),
            "{text}"
        );
    }

    #[test]
    fn a_port_is_the_one_that_is_listened_on() {
        let with = |listening: &[&str]| ServiceView {
            port: Some(5001),
            wanted_port: Some(5000),
            ports: [("main".to_owned(), 5001), ("metrics".to_owned(), 9100)].into(),
            listening: Some(listening.iter().map(|text| text.parse().unwrap()).collect()),
            ..ServiceView::sample("api", Phase::Ready)
        };
        let text = |listening: &[&str]| ports(&with(listening));
        assert_eq!(text(&["127.0.0.1:5001"]), "5001 (wanted 5000), metrics 9100");
        assert_eq!(text(&["127.0.0.1:8000"]), "8000 (assigned 5001), metrics 9100");
        assert_eq!(text(&["127.0.0.1:9100"]), "5001 (wanted 5000), metrics 9100");
        assert_eq!(text(&[]), "5001 (wanted 5000), metrics 9100");
    }

    #[test]
    fn it_is_said_who_can_reach_what() {
        let api = ServiceView {
            url: Some("http://127.0.0.1:5001".to_owned()),
            host: "0.0.0.0".to_owned(),
            listening: Some(vec!["0.0.0.0:5001".parse().unwrap()]),
            ..ServiceView::sample("api", Phase::Ready)
        };
        let networks = vec!["192.168.1.0/24".to_owned()];
        let snapshot = Snapshot { services: vec![api], networks, ..snapshot() };
        let text = ps_table(&snapshot, now(), false);
        let line = "\n\nanyone on this network (192.168.1.0/24) can reach: api\n";
        assert!(text.ends_with(line), "{text}");
    }

    #[test]
    fn ages_are_short() {
        let ages = [
            ("2026-11-20T09:02:03.500Z", "0s"),
            ("2026-11-20T09:00:04Z", "119s"),
            ("2026-11-20T09:00:03Z", "2m"),
            ("2026-11-20T04:00:00Z", "5h"),
            ("2026-11-10T04:00:00Z", "10d"),
            ("2027-01-01T00:00:00Z", "0s"),
            ("yesterday", "-"),
        ];
        for (since, expected) in ages {
            assert_eq!(age(since, now()), expected, "{since}");
        }
    }
}
