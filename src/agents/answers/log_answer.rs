use serde_json::json;

use super::{ToolAnswer, compact};
use crate::agents::log_page::LogPage;
use crate::agents::untrusted::fence;

/// The answer of `logs`.
pub fn log_answer(page: &LogPage) -> ToolAnswer {
    let lines = page.lines();
    let mut text = match lines.as_str() {
        "" => "no lines\n".to_owned(),
        lines => fence(lines),
    };
    let cursor = page.cursor().map(ToString::to_string);
    if let Some(gap) = page.gap() {
        text.insert_str(0, &format!("note: {gap}\n"));
    }
    if page.omitted() > 0 {
        text += &format!(
            "{} older lines left out: narrow with grep, services or since\n",
            page.omitted()
        );
    }
    if page.missed() > 0 {
        text += &format!("{} lines are no longer stored\n", page.missed());
    }
    if let Some(cursor) = &cursor {
        let what = if page.has_more() { "more lines now" } else { "what comes later" };
        text += &format!("after=\"{cursor}\" gives {what}\n");
    }
    let mut data = compact(json!({ "log": lines, "cursor": cursor, "gap": page.gap() }));
    data["more"] = page.has_more().into();
    data["omitted"] = page.omitted().into();
    data["missed"] = page.missed().into();
    ToolAnswer { text, data }
}
