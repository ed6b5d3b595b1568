use serde::{Deserialize, Serialize};

use super::QueryParams;
use crate::model::{CursorKind, CursorText, EventView, Message, StartId};

/// What has happened since a cursor: the response to `GET /v1/changes`. Fields may be added, never
/// renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangesView {
    /// The version of this format.
    pub version: u32,
    /// The name of the stack.
    pub stack: String,
    /// Where the next read goes on.
    pub cursor: String,
    /// Why changes may be missing before these, as a fragment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
    /// The changes, oldest first: the events of `GET /v1/events`.
    pub changes: Vec<EventView>,
}

impl ChangesView {
    /// Returns the number of the event after which a reader with this cursor goes on, and why changes
    /// may be missing before that. `oldest` is the number of the oldest event that is kept, `newest`
    /// that of the newest.
    pub fn resume(
        since: Option<&CursorText>,
        start: &StartId,
        oldest: u64,
        newest: u64,
    ) -> (u64, Option<String>) {
        let (after, gap) = match since {
            Some(since) if since.start != *start => {
                (0, Some("the stack was started again after this cursor".to_owned()))
            }
            Some(since) => (since.number.min(newest), None),
            None => (0, None),
        };
        match oldest.saturating_sub(after + 1) {
            0 => (after, gap),
            missed => {
                let lost = format!("{missed} earlier changes are no longer kept");
                let gap = gap.map_or(lost.clone(), |gap| format!("{gap}, and {lost}"));
                (oldest - 1, Some(gap))
            }
        }
    }

    /// Reads the parameters of a request.
    pub(crate) fn parse_since(query: &str) -> Result<Option<CursorText>, Message> {
        let mut since = None;
        QueryParams::read(query, |key, text| match key {
            "since" => {
                let cursor = CursorText::parse(CursorKind::Changes, text);
                since = Some(cursor.map_err(|why| why.to_string())?);
                Ok(())
            }
            _ => Err("use only `since`: the cursor of an earlier response".to_owned()),
        })?;
        Ok(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_goes_on_where_it_was_or_learns_why_not() {
        let start = StartId::at(33);
        let resume = |since: Option<&str>, oldest, newest| {
            let since = since.map(|text| text.parse().expect("a cursor"));
            let (after, gap) = ChangesView::resume(since.as_ref(), &start, oldest, newest);
            format!("{after} {}", gap.unwrap_or_default())
        };
        insta::assert_snapshot!(
            [
                resume(None, 1, 9),
                resume(None, 4, 9),
                resume(Some("changes-11-5"), 1, 9),
                resume(Some("changes-11-5"), 6, 9),
                resume(Some("changes-11-5"), 8, 9),
                resume(Some("changes-11-99"), 8, 9),
                resume(Some("changes-12-5"), 1, 9),
                resume(Some("changes-12-5"), 3, 9),
                resume(Some("changes-11-0"), 1, 0),
            ]
            .join("\n"),
            @"
        0 
        3 3 earlier changes are no longer kept
        5 
        5 
        7 2 earlier changes are no longer kept
        9 
        0 the stack was started again after this cursor
        2 the stack was started again after this cursor, and 2 earlier changes are no longer kept
        0 
        "
        );
    }
}
