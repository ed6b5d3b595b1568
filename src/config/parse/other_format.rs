//! Recognizes files that are not TOML at all, to report that once.

use std::ops::Range;

const PROCFILE: &str = "name the file Procfile, or write each line as a table: [services.web], and below it command = \"…\"";
const YAML: &str = "tables are [services.web], and below it command = \"…\"";

/// Returns what a file that is not valid TOML seems to be: the place that shows it, an error and a
/// help text.
pub(super) fn recognize(text: &str) -> Option<(Range<usize>, String, &'static str)> {
    let lines = || text.lines().filter(|line| !is_skipped(line));
    let first = lines().next()?;
    let start = first.as_ptr() as usize - text.as_ptr() as usize;
    let is = |what: &str| format!("this is {what}, not TOML");
    let (what, help) = if first.trim_start().starts_with('{') {
        ("JSON", YAML)
    } else if !(first.starts_with("---") || first.starts_with("- ") || key(first).is_some()) {
        return None;
    } else if lines().any(|line| line.trim_end() == "services:") {
        ("a Compose file", YAML)
    } else if lines().all(|line| key(line).is_some_and(|command| !command.is_empty())) {
        ("a Procfile", PROCFILE)
    } else {
        ("YAML", YAML)
    };
    Some((start..start + first.trim_end().len(), is(what), help))
}

fn is_skipped(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Returns what follows `key:` at the start of a line.
fn key(line: &str) -> Option<&str> {
    let (key, value) = line.split_once(':')?;
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let separated = value.is_empty() || value.starts_with(char::is_whitespace);
    (!key.is_empty() && key.chars().all(word) && separated).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::recognize;

    #[test]
    fn other_formats_are_recognized_and_toml_is_not() {
        for (text, what) in [
            ("# x\nversion: '3'\nservices:\n  web:\n    image: a\n", Some("a Compose file")),
            ("web: python app.py\nworker: celery -A x\n", Some("a Procfile")),
            ("name: x\nlist:\n  - a\n", Some("YAML")),
            ("---\na: 1\n", Some("YAML")),
            ("{ \"services\": {} }", Some("JSON")),
            ("[services.web]\ncommand = python\n", None),
            ("command: \"x\" = 1\n[a]\n", Some("YAML")),
            ("a = http://x\n", None),
            ("", None),
        ] {
            let found = recognize(text).map(|(_, message, _)| message);
            assert_eq!(found, what.map(|what| format!("this is {what}, not TOML")), "{text}");
        }
    }
}
