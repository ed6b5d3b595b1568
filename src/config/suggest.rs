//! Help for mistakes, and names made fit for a message.

pub(super) use crate::suggest::{did_you_mean, nearest};

/// The longest piece of somebody's text that is repeated in a message, in characters.
const MAX_QUOTED: usize = 60;

/// Which replicas there are, for whoever named another one.
pub(super) fn replicas_help(group: &str, of: u16) -> String {
    format!("the replicas of `{group}` are `{group}-1` to `{group}-{of}`")
}

/// Somebody's text between backquotes, in one line, not too long and without control characters.
pub(super) fn quote(text: &str) -> String {
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

/// `a`, `b` or `c`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [head @ .., last] => {
            let head: Vec<String> = head.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", head.join(", "))
        }
    }
}
