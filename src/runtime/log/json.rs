use serde::Serialize;

use super::amount::Amount;
use super::lines;
use super::painter::Lines;
use super::record::{Record, stamp};
use super::said::{Said, Tone};
use crate::model::Name;

/// What devstack says, as `--output json` prints it.
#[derive(Serialize)]
struct Spoken<'a> {
    /// The service it is about; `null`: the whole stack.
    service: Option<&'a Name>,
    at: String,
    tone: &'static str,
    text: &'a str,
}

/// Appends lines as objects: as `logs --json` prints them.
pub(super) fn lines(lines: &Lines<'_>, out: &mut Vec<u8>) {
    let last = lines::count(lines.bytes).saturating_sub(1);
    for (at, line) in lines::lines(lines.bytes).enumerate() {
        let record = Record {
            service: lines.service.clone(),
            run: lines.run,
            stream: lines.stream,
            at: lines.at,
            seq: lines.seq + at as u64,
            line: lines::content(line).to_vec(),
            continues: at == 0 && lines.continues,
            open: at == last && lines.open,
        };
        write(&record, out);
    }
}

/// Appends what devstack says as an object.
pub(super) fn said(said: &Said, at: i64, out: &mut Vec<u8>) {
    let tone = match said.tone {
        Tone::Plain => "plain",
        Tone::Notice => "notice",
        Tone::Good => "good",
        Tone::Warning => "warning",
        Tone::Failure => "failure",
    };
    let at = stamp(at);
    write(&Spoken { service: said.service.as_ref(), at, tone, text: &said.text }, out);
}

/// What is lost, as `logs --json` prints it.
#[derive(Serialize)]
struct Missing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a Name>,
    missed: u64,
    bytes: u64,
}

/// Appends how much is missing as an object.
pub(super) fn missed(service: Option<&Name>, lost: Amount, out: &mut Vec<u8>) {
    write(&Missing { service, missed: lost.lines, bytes: lost.bytes }, out);
}

fn write(what: &impl Serialize, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(&mut *out, what);
    written.expect("plain data with texts as keys, written to memory");
    out.push(b'\n');
}
