use crate::control::LogPattern;
use crate::model::{Name, Snapshot};

/// Which lines of the log are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShownLines {
    /// Only lines of these services; empty for all.
    pub services: Vec<Name>,
    /// Only lines that match all of these regular expressions.
    pub patterns: Vec<String>,
}

/// A filter as the user typed it: `@SERVICE`, `level:WORD` and text, in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogViewFilter {
    /// As typed.
    pub text: String,
    services: Vec<Name>,
    patterns: Vec<String>,
}

/// Words that mark a line as at least this bad, the worst first.
const LEVELS: [(&str, &str); 4] = [
    (
        "error",
        "error|err|fatal|panic|panicked|critical|crit|alert|emerg|exception|traceback|fail|failed|failure",
    ),
    ("warn", "warn|warning"),
    ("info", "info|notice"),
    ("debug", "debug|trace"),
];

impl LogViewFilter {
    /// Parses what was typed. The names of replica groups stand for all replicas.
    ///
    /// # Errors
    /// A service or level is unknown, as a text for the user.
    pub fn parse(text: &str, stack: &Snapshot) -> Result<LogViewFilter, String> {
        let mut filter = LogViewFilter { text: text.trim().to_owned(), ..LogViewFilter::default() };
        let mut words = Vec::new();
        for word in text.split_whitespace() {
            if let Some(names) = word.strip_prefix('@') {
                for name in names.split(',').filter(|name| !name.is_empty()) {
                    filter.services.extend(services_named(name, stack)?);
                }
            } else if let Some(level) = word.strip_prefix("level:") {
                filter.patterns.push(level_pattern(level)?);
            } else {
                words.push(word);
            }
        }
        if !words.is_empty() {
            filter.patterns.push(search_pattern(&words.join(" ")).regex().as_str().to_owned());
        }
        Ok(filter)
    }

    /// Returns what to show with this filter, of one service or all.
    pub fn view(&self, only: Option<&Name>) -> ShownLines {
        let services = match only {
            Some(name) => vec![name.clone()],
            None => self.services.clone(),
        };
        ShownLines { services, patterns: self.patterns.clone() }
    }
}

fn services_named(text: &str, stack: &Snapshot) -> Result<Vec<Name>, String> {
    let is_meant = |name: &Name| name.as_str() == text;
    let views = stack.services.iter();
    let views =
        views.filter(|view| is_meant(&view.name) || view.group.as_ref().is_some_and(is_meant));
    let found: Vec<Name> = views.map(|view| view.name.clone()).collect();
    if found.is_empty() {
        return Err(format!("no service is named `{text}`"));
    }
    Ok(found)
}

fn level_pattern(level: &str) -> Result<String, String> {
    let prefix = level.to_lowercase();
    let end = LEVELS.iter().position(|(name, _)| !prefix.is_empty() && name.starts_with(&prefix));
    let end = end.ok_or("use level:error, level:warn, level:info or level:debug")?;
    let words: Vec<&str> = LEVELS[..=end].iter().map(|(_, words)| *words).collect();
    Ok(format!(r"(?i)\b(?:{})\b", words.join("|")))
}

/// Returns the pattern for what the user looks for: as typed if it is a regular expression, else as
/// plain text. Without capitals, case does not matter.
pub fn search_pattern(text: &str) -> LogPattern {
    let case = if text.chars().any(char::is_uppercase) { "" } else { "(?i)" };
    let plain = || LogPattern::new(&format!("{case}{}", regex::escape(text)));
    LogPattern::new(&format!("{case}{text}"))
        .or_else(|_| plain())
        .expect("what can be typed is short")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture::stack;

    #[test]
    fn a_filter_is_made_of_services_levels_and_text() {
        let filter = LogViewFilter::parse(" @api level:warn  time out @web ", &stack(3)).unwrap();
        let view = filter.view(None);
        assert_eq!(view.services.iter().map(Name::as_str).collect::<Vec<_>>(), ["api", "web"]);
        assert_eq!(view.patterns.len(), 2);
        assert_eq!(view.patterns[1], "(?i)time out");
        let level = LogPattern::new(&view.patterns[0]).unwrap();
        assert!(level.regex().is_match(b"2026 WARN slow") && level.regex().is_match(b"[error] x"));
        assert!(!level.regex().is_match(b"info: forewarned"));
        let only = Name::new("db").unwrap();
        assert_eq!(filter.view(Some(&only)).services, [only]);
        assert!(LogViewFilter::parse("@nope", &stack(3)).is_err());
        assert!(LogViewFilter::parse("level:x", &stack(3)).is_err());
    }

    #[test]
    fn capitals_and_what_is_no_regex_count_as_typed() {
        for (typed, pattern) in
            [("time.*out", "(?i)time.*out"), ("GET /", "GET /"), ("f(x", r"(?i)f\(x")]
        {
            assert_eq!(search_pattern(typed).regex().as_str(), pattern);
        }
    }
}
