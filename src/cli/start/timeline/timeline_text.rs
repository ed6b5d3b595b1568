use std::time::Duration;

use super::timeline::{RowEnd, Timeline, TimelineRow, TimelineStage};
use crate::model::DisplayDuration;
use crate::text::join;

/// Columns of the longest bar.
const WIDTH: i64 = 40;

/// Formats a timeline for the log: a heading, then a line for each service.
pub(super) fn timeline_text(timeline: &Timeline) -> Vec<String> {
    let mut lines = vec![heading(timeline)];
    let names = timeline.rows.iter().map(|row| row.service.as_str().len()).max().unwrap_or(0);
    for row in &timeline.rows {
        let mark = if row.is_critical { '*' } else { ' ' };
        let bar = bar(row, timeline.total);
        let width = usize::try_from(WIDTH).unwrap_or(0);
        lines.push(format!("  {mark} {:names$}  {bar:width$}  {}", row.service, row_text(row)));
    }
    lines.push("  . waiting  - starting  = until ready  * on the critical path".to_owned());
    lines
}

/// Returns the heading: how long the start took and what decided that.
pub(super) fn heading(timeline: &Timeline) -> String {
    let path = join(&timeline.critical_path, " → ");
    format!("timeline: {}; critical path: {path}", shown(timeline.total))
}

/// Describes a row: its result, and what it waited for.
pub(super) fn row_text(row: &TimelineRow) -> String {
    let end = match row.end {
        RowEnd::Ready(at) => format!("ready at {}", shown(at)),
        RowEnd::Completed(at) => format!("completed at {}", shown(at)),
        RowEnd::Failed(at) => format!("failed at {}", shown(at)),
        RowEnd::Open => "no result".to_owned(),
    };
    let waited = row.stages.iter().find(|(stage, ..)| *stage == TimelineStage::Waiting);
    match (waited, &row.waited_for) {
        (Some((_, from, to)), Some(name)) => {
            format!("{end}; waited {} for {name}", shown(to - from))
        }
        _ => end,
    }
}

fn bar(row: &TimelineRow, total: i64) -> String {
    // Each end is rounded down by itself, so that bars of the same time end in the same column.
    let column = |at: i64| at * WIDTH / total.max(1);
    let mut bar = String::new();
    for (stage, from, to) in &row.stages {
        let sign = match stage {
            TimelineStage::Waiting => ".",
            TimelineStage::Starting => "-",
            TimelineStage::Probing => "=",
        };
        bar += &sign.repeat(usize::try_from(column(*to) - column(*from)).unwrap_or(0));
    }
    bar
}

fn shown(ms: i64) -> DisplayDuration {
    DisplayDuration(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::start::timeline::timeline::tests::shop;

    #[test]
    fn the_text_of_a_start() {
        insta::with_settings!({ omit_expression => true }, {
            let lines = timeline_text(&Timeline::of(&shop(), 9000));
            insta::assert_snapshot!(lines.join("\n"));
        });
    }
}
