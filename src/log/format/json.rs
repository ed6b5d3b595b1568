use super::line_formatter::ChunkView;
use crate::log::line_split;
use crate::log::log_item::write_json;
use crate::log::log_line::LogLine;

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
        write_json(&record, out);
    }
}
