use serde::Serialize;

use crate::log::log_size::LogSize;
use crate::model::Name;

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

/// Appends a JSON object in a line of its own, as `logs --json` prints it.
pub(super) fn write(what: &impl Serialize, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(&mut *out, what);
    written.expect("plain data always serializes");
    out.push(b'\n');
}
