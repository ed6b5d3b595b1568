//! Suggestions for errors, and safe quoting of user text.

pub(crate) use crate::suggest::{did_you_mean, nearest};

/// How many characters of user text a message repeats.
const MAX_QUOTED: usize = 60;

pub(crate) fn replicas_help(group: &str, of: u16) -> String {
    format!("the replicas of `{group}` are `{group}-1` to `{group}-{of}`")
}

/// Quotes user text in backticks: one line, truncated, control characters escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("`");
    for (count, c) in text.chars().enumerate() {
        if count == MAX_QUOTED {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out.push('`');
    out
}

/// Joins alternatives: `a`, `b` or `c`.
pub(crate) fn list_or(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [head @ .., last] => {
            let head: Vec<String> = head.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", head.join(", "))
        }
    }
}
