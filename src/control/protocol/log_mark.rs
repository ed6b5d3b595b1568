use serde::{Deserialize, Serialize};

use crate::model::{CursorText, StartId};

/// A line of `GET /v1/logs` that is not part of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogMark {
    /// Comes first: lines may be missing after the cursor that was given; why, as a fragment.
    Gap(String),
    /// Comes last: where the next read goes on.
    Cursor(String),
}

impl LogMark {
    /// Returns the mark for lines that may be missing after this cursor.
    pub fn gap(after: &CursorText, start: Option<&StartId>, is_too_late: bool) -> Option<LogMark> {
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
