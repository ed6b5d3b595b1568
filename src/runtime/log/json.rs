use serde::Serialize;

use super::amount::Amount;
use super::lines;
use super::painter::Lines;
use super::record::Record;
use super::spoken::Spoken;
use crate::model::Name;

/// Appends lines as JSON objects, as `logs --json` prints them.
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

pub(super) fn spoken(spoken: &Spoken, out: &mut Vec<u8>) {
    write(spoken, out);
}

/// Lost lines, as `logs --json` prints them.
#[derive(Serialize)]
struct Missing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a Name>,
    missed: u64,
    bytes: u64,
}

pub(super) fn missed(service: Option<&Name>, lost: Amount, out: &mut Vec<u8>) {
    write(&Missing { service, missed: lost.lines, bytes: lost.bytes }, out);
}

fn write(what: &impl Serialize, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(&mut *out, what);
    written.expect("plain data always serializes");
    out.push(b'\n');
}
