use serde::{Deserialize, Serialize};

use crate::model::{CursorText, StartId};

/// A line of `GET /v1/logs` that is not part of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogMark {
    /// Comes first: lines may be missing after the cursor that was given; why, as a fragment.
    Gap(String),
    /// Follows a gap: the start of the stack that the numbers of all lines belong to, as it is not that
    /// of the cursor.
    Start(StartId),
    /// Comes last: where the next read goes on.
    Cursor(String),
}

impl LogMark {
    /// Returns what comes before the first line after this cursor.
    pub fn before(after: &CursorText, start: Option<&StartId>, is_too_late: bool) -> Vec<LogMark> {
        let other = start.filter(|start| **start != after.start).cloned();
        let gap = LogMark::gap(after, start, is_too_late);
        gap.into_iter().chain(other.map(LogMark::Start)).collect()
    }

    /// Returns the mark for lines that may be missing after this cursor.
    fn gap(after: &CursorText, start: Option<&StartId>, is_too_late: bool) -> Option<LogMark> {
        let why = match start {
            Some(start) if *start != after.start => "the stack was started again after this cursor",
            None => "this log was written by an older devstack, which has no cursors",
            Some(_) if is_too_late => "lines after this cursor are no longer kept",
            Some(_) => return None,
        };
        Some(LogMark::Gap(why.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_start_is_named() {
        let after: CursorText = "log-11-7".parse().expect("a cursor");
        let marks = LogMark::before(&after, Some(&StartId::at(34)), false);
        let text = serde_json::to_string(&marks).expect("plain data");
        insta::assert_snapshot!(text, @r#"[{"gap":"the stack was started again after this cursor"},{"start":"12"}]"#);
        assert_eq!(LogMark::before(&after, Some(&StartId::at(33)), false), []);
        assert_eq!(LogMark::before(&after, None, false).len(), 1);
    }

    #[test]
    fn a_gap_is_reported_only_when_lines_may_be_missing() {
        let after: CursorText = "log-11-7".parse().expect("a cursor");
        let gap =
            |start: Option<u64>, late| LogMark::gap(&after, start.map(StartId::at).as_ref(), late);
        assert_eq!(gap(Some(33), false), None);
        let text = |mark: Option<LogMark>| serde_json::to_string(&mark).expect("plain data");
        insta::assert_snapshot!(
            [text(gap(Some(33), true)), text(gap(Some(34), true)), text(gap(None, false))].join("\n"),
            @r#"
        {"gap":"lines after this cursor are no longer kept"}
        {"gap":"the stack was started again after this cursor"}
        {"gap":"this log was written by an older devstack, which has no cursors"}
        "#
        );
    }
}
