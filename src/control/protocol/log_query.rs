use crate::encoding::{percent_decode, percent_encode};
use crate::log::{LineFilter, StatusMode};
use crate::model::{Message, MessageClass, Name, OutputStream};
use regex::bytes::Regex;

/// Selects lines of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Services to read; empty for all.
    pub services: Vec<Name>,
    /// How many existing lines of each service to return; `None`: all.
    pub last: Option<usize>,
    /// Whether to send new lines until the stack stops.
    pub follow: bool,
    /// Only lines read at this time or later, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Only lines of this stream.
    pub stream: Option<OutputStream>,
    /// Only lines that match.
    pub grep: Option<LogPattern>,
    /// Whether to include status lines, or only those; other filters do not apply to them.
    pub status_mode: StatusMode,
}

const PARAMETERS: &str =
    "use the parameters `service`, `last`, `follow`, `since`, `stream`, `grep` and `said`";

impl LogQuery {
    /// Parses a query such as `service=a&service=b&last=100&stream=stderr&grep=a%20b`.
    pub(crate) fn parse(text: &str) -> Result<LogQuery, Message> {
        let mut query = LogQuery::default();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let bad = |help: &str| invalid_parameter(part, help);
            let value = percent_decode(value)
                .ok_or_else(|| bad("follow `%` with two hexadecimal digits"))?;
            match key {
                "service" => {
                    let name = Name::new(&value).map_err(|why| bad(&why.to_string()))?;
                    query.services.push(name);
                }
                "last" => {
                    query.last =
                        Some(value.parse().map_err(|_| bad("set `last` to a number of lines"))?);
                }
                "follow" => {
                    query.follow =
                        value.parse().map_err(|_| bad("set `follow` to `true` or `false`"))?;
                }
                "since" => {
                    let time = value.parse::<jiff::Timestamp>();
                    let time = time
                        .map_err(|_| bad("set `since` to a time such as 2026-11-20T09:00:00Z"))?;
                    query.since = Some(time.as_millisecond());
                }
                "stream" => {
                    query.stream = Some(match value.as_str() {
                        "stdout" => OutputStream::Stdout,
                        "stderr" => OutputStream::Stderr,
                        _ => return Err(bad("set `stream` to `stdout` or `stderr`")),
                    });
                }
                "grep" => {
                    query.grep = Some(LogPattern::new(&value).map_err(|why| bad(&why.text))?);
                }
                "said" => {
                    query.status_mode = match value.as_str() {
                        "false" => StatusMode::Without,
                        "true" => StatusMode::With,
                        "only" => StatusMode::Only,
                        _ => return Err(bad("set `said` to `true`, `false` or `only`")),
                    };
                }
                _ => return Err(bad(PARAMETERS)),
            }
        }
        Ok(query)
    }

    /// Returns the filter that this query asks for.
    pub fn log_filter(&self) -> LineFilter {
        let grep = self.grep.as_ref().map(|pattern| pattern.regex().clone());
        LineFilter { since: self.since, stream: self.stream, grep, narration: self.status_mode }
    }

    /// Returns the query text for [`LogQuery::parse`].
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("follow={}", self.follow);
        for name in &self.services {
            text.push_str("&service=");
            text.push_str(name.as_str());
        }
        if let Some(last) = self.last {
            text.push_str(&format!("&last={last}"));
        }
        if let Some(since) = self.since {
            let since = jiff::Timestamp::from_millisecond(since).unwrap_or_default();
            text.push_str(&format!("&since={since}"));
        }
        if let Some(stream) = self.stream {
            text.push_str(match stream {
                OutputStream::Stdout => "&stream=stdout",
                OutputStream::Stderr => "&stream=stderr",
            });
        }
        if let Some(grep) = &self.grep {
            text.push_str("&grep=");
            percent_encode(grep.regex().as_str(), &mut text);
        }
        text.push_str(match self.status_mode {
            StatusMode::Without => "",
            StatusMode::With => "&said=true",
            StatusMode::Only => "&said=only",
        });
        text
    }
}

fn invalid_parameter(part: &str, help: &str) -> Message {
    let part: String = part.chars().take(80).collect();
    Message::new(MessageClass::Usage, format!("invalid query parameter `{part}`")).help(help)
}

/// Regular expression to search lines for.
#[derive(Debug, Clone)]
pub struct LogPattern(Regex);

impl LogPattern {
    /// Maximum size of the compiled regex in bytes: a client must not fill the supervisor's memory.
    const SIZE: usize = 1024 * 1024;

    /// Compiles a regular expression; a leading `(?i)` ignores case.
    ///
    /// # Errors
    /// The message points at the mistake.
    pub fn new(text: &str) -> Result<LogPattern, Message> {
        let regex = regex::bytes::RegexBuilder::new(text).size_limit(Self::SIZE).build();
        regex.map(LogPattern).map_err(|error| {
            Message::new(MessageClass::Usage, format!("invalid regular expression: {error}"))
        })
    }

    /// Returns the compiled regex.
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

impl PartialEq for LogPattern {
    fn eq(&self, other: &LogPattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for LogPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_survive_their_text() {
        let name = |text| Name::new(text).unwrap();
        for query in [
            LogQuery::default(),
            LogQuery {
                services: vec![name("a"), name("b-2")],
                last: Some(0),
                follow: true,
                ..LogQuery::default()
            },
            LogQuery { last: Some(usize::MAX), ..LogQuery::default() },
            LogQuery {
                since: Some(1_763_629_200_120),
                stream: Some(OutputStream::Stderr),
                grep: Some(LogPattern::new(r"^a &b=c%20\+\s[äö] #?/'$").unwrap()),
                ..LogQuery::default()
            },
            LogQuery { since: Some(-1), stream: Some(OutputStream::Stdout), ..LogQuery::default() },
            LogQuery { status_mode: StatusMode::With, ..LogQuery::default() },
            LogQuery { status_mode: StatusMode::Only, ..LogQuery::default() },
        ] {
            let text = query.to_text();
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
            assert_eq!(LogQuery::parse(&text), Ok(query));
        }
    }

    #[test]
    fn other_queries_are_refused() {
        for text in [
            "service=A",
            "service",
            "last=-1",
            "last=1e9",
            "follow=yes",
            "x=1",
            "=",
            "a",
            "grep=(",
            "grep=%",
            "grep=%f",
            "grep=%zz",
            "grep=%ff",
            "since=now",
            "since=",
            "stream=stdin",
            "said=yes",
            "grep=(((a{1000}){1000}){1000})",
        ] {
            assert!(LogQuery::parse(text).is_err(), "{text}");
        }
        assert_eq!(LogQuery::parse("&&"), Ok(LogQuery::default()));
        let plus = LogQuery::parse("grep=a+b").unwrap().grep;
        assert_eq!(plus, Some(LogPattern::new("a b").unwrap()));
    }
}
