use serde::Serialize;

use super::line_formatter::ChunkView;
use crate::log::line_split;
use crate::log::log_line::LogLine;
use crate::log::log_size::LogSize;
use crate::log::status_line::StatusLine;
use crate::model::Name;

/// Appends lines as JSON objects, as `logs --json` prints them.
pub(super) fn write_lines(lines: &ChunkView<'_>, out: &mut Vec<u8>) {
    let last = line_split::count(lines.bytes).saturating_sub(1);
    for (at, line) in line_split::lines(lines.bytes).enumerate() {
        let record = LogLine {
            service: lines.service.clone(),
            run: lines.run,
            stream: lines.stream,
            at: lines.at,
            seq: lines.seq + at as u64,
            line: line_split::trim_line_end(line).to_vec(),
            continues: at == 0 && lines.continues,
            open: at == last && lines.open,
        };
        write(&record, out);
    }
}

pub(super) fn write_status(spoken: &StatusLine, out: &mut Vec<u8>) {
    write(spoken, out);
}

/// Lost lines, as `logs --json` prints them.
#[derive(Serialize)]
struct MissedRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a Name>,
    missed: u64,
    bytes: u64,
}

pub(super) fn write_missed(service: Option<&Name>, lost: LogSize, out: &mut Vec<u8>) {
    write(&MissedRecord { service, missed: lost.lines, bytes: lost.bytes }, out);
}

fn write(what: &impl Serialize, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(&mut *out, what);
    written.expect("plain data always serializes");
    out.push(b'\n');
}
