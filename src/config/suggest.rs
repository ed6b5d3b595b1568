//! "did you mean", and names made fit for a message.

/// How alike two words must be to be offered as a correction; the measure and the bound of clap.
const ALIKE: f64 = 0.7;

/// How many candidates are compared at most: 4,096 services with 4,096 mistakes must stay quick.
const MAX_CANDIDATES: usize = 512;

/// The longest piece of somebody's text that is repeated in a message, in characters.
const MAX_QUOTED: usize = 60;

/// The candidate most like `word`, if any is alike enough.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > MAX_QUOTED {
        return None;
    }
    let lower = word.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates.into_iter().take(MAX_CANDIDATES) {
        if candidate.len() > MAX_QUOTED {
            continue;
        }
        let score = alike(&lower, &candidate.to_lowercase());
        if score > ALIKE && best.is_none_or(|(top, _)| score > top) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// From 0 to 1. Two letters that changed places are one slip, also in a word of two.
fn alike(word: &str, candidate: &str) -> f64 {
    if word.len() > 1 && strsim::osa_distance(word, candidate) == 1 {
        return 0.95;
    }
    strsim::jaro_winkler(word, candidate)
}

/// `did you mean `x`?`, or the other text when nothing is alike.
pub(super) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => otherwise(),
    }
}

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
