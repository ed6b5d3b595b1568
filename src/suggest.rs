//! "did you mean": one similarity measure for everything that has a name.

use crate::text::quote;

/// How similar a word must be to be suggested; same measure and bound as clap.
const MIN_SIMILARITY: f64 = 0.7;

/// At most this many candidates are compared: 4,096 services with 4,096 mistakes must stay fast.
const MAX_CANDIDATES: usize = 512;

/// The longest word that is compared, in bytes. Names are shorter.
const LONGEST: usize = 80;

#[cfg(test)]
thread_local! {
    /// How many words this thread has compared: tests look at it instead of the time.
    pub static COMPARISONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns the candidate most similar to `word`, if any is similar enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates.into_iter().take(MAX_CANDIDATES) {
        if candidate.len() > LONGEST {
            continue;
        }
        let score = similarity(&lower, &candidate.to_lowercase());
        if score > MIN_SIMILARITY && best.is_none_or(|(top, _)| score > top) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Returns a similarity from 0 to 1. Swapping two letters counts as one typo.
fn similarity(word: &str, candidate: &str) -> f64 {
    #[cfg(test)]
    COMPARISONS.with(|count| count.set(count.get() + 1));
    if word.len() > 1 && strsim::osa_distance(word, candidate) == 1 {
        return 0.95;
    }
    strsim::jaro_winkler(word, candidate)
}

/// Returns `did you mean …?`, or the other text if nothing is similar.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!("did you mean {}?", quote(candidate)),
        None => otherwise(),
    }
}

/// Returns the text and help of an error about an unknown name: ``unknown service `x` ``. The
/// word must be quoted safely.
pub fn unknown(kind: &str, word: &str, quoted: &str, names: &[&str]) -> (String, String) {
    let help = did_you_mean(word, names.iter().copied(), || match names {
        [] => format!("the stack has no {kind}s"),
        names => format!("available {kind}s: {}", names.join(", ")),
    });
    (format!("unknown {kind} {quoted}"), help)
}

#[cfg(test)]
mod tests {
    use super::{nearest, unknown};

    #[test]
    fn an_unknown_name_has_a_suggestion_or_the_choices() {
        let error = |text: &str, help: &str| (text.to_owned(), help.to_owned());
        let names = ["api", "db"];
        let typo = error("unknown service `apu`", "did you mean `api`?");
        assert_eq!(unknown("service", "apu", "`apu`", &names), typo);
        let other = error("unknown service `web`", "available services: api, db");
        assert_eq!(unknown("service", "web", "`web`", &names), other);
    }

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let names = ["api", "db", "worker", "web"];
        for (word, meant) in [
            ("ap", Some("api")),
            ("API", Some("api")),
            ("bd", Some("db")),
            ("wroker", Some("worker")),
            ("wbe", Some("web")),
            ("frontend", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), meant, "{word}");
        }
        assert_eq!(nearest(&"api".repeat(100), names), None);
        assert_eq!(nearest("api", [""; 0]), None);
    }
}
