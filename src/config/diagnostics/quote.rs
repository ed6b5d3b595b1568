//! Phrases of errors.

pub(crate) use crate::suggest::{did_you_mean, nearest};
pub(crate) use crate::text::quote;

pub(crate) fn replicas_help(group: &str, of: u16) -> String {
    format!("the replicas of `{group}` are `{group}-1` to `{group}-{of}`")
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
