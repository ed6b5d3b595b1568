use super::query_params::{QueryParams, value};
use crate::log::{LineFilter, StatusMode, StoredForm};
use crate::model::{CursorKind, CursorText, Message, MessageClass, Name, OutputStream};
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
    /// Only lines from this number on, however many; `last` then has no meaning.
    pub from: Option<u64>,
    /// Only lines before this number; `last` counts back from it.
    pub before: Option<u64>,
    /// Only lines of this stream.
    pub stream: Option<OutputStream>,
    /// Only lines that match all of these.
    pub grep: Vec<LogPattern>,
    /// Whether to include status lines, or only those.
    pub status_mode: StatusMode,
    /// Whether to include the starts of lines whose end has not come.
    pub unfinished: bool,
    /// Only lines after this cursor; `last` does not apply then.
    pub after: Option<CursorText>,
    /// Whether a last object has a cursor: `{"cursor": …}`. So it is with `after`, too.
    pub cursor: bool,
}

/// Most patterns: each may take a megabyte.
const MAX_PATTERNS: usize = 4;

const PARAMETERS: &str = "use the parameters `service`, `last`, `follow`, `since`, `from`, `before`, `stream`, `grep`, `said`, `unfinished`, `after` and `cursor`";

impl LogQuery {
    /// Parses a query such as `service=a&service=b&last=100&stream=stderr&grep=a%20b`.
    pub(crate) fn parse(text: &str) -> Result<LogQuery, Message> {
        let mut query = LogQuery::default();
        QueryParams::read(text, |key, text| {
            match key {
                "service" => query.services.push(Name::new(text).map_err(|why| why.to_string())?),
                "last" => query.last = Some(value(text, "set `last` to a number of lines")?),
                "follow" => query.follow = value(text, "set `follow` to `true` or `false`")?,
                "since" => {
                    let time: jiff::Timestamp =
                        value(text, "set `since` to a time such as 2026-11-20T09:00:00Z")?;
                    query.since = Some(time.as_millisecond());
                }
                "from" => query.from = Some(value(text, "set `from` to the `seq` of a line")?),
                "before" => {
                    query.before = Some(value(text, "set `before` to the `seq` of a line")?);
                }
                "stream" => {
                    query.stream = Some(match text {
                        "stdout" => OutputStream::Stdout,
                        "stderr" => OutputStream::Stderr,
                        _ => return Err("set `stream` to `stdout` or `stderr`".to_owned()),
                    });
                }
                "grep" => {
                    if query.grep.len() == MAX_PATTERNS {
                        return Err(format!("use `grep` at most {MAX_PATTERNS} times"));
                    }
                    query.grep.push(LogPattern::new(text).map_err(|why| why.text)?);
                }
                "said" => {
                    query.status_mode = match text {
                        "false" => StatusMode::Without,
                        "true" => StatusMode::With,
                        "only" => StatusMode::Only,
                        _ => return Err("set `said` to `true`, `false` or `only`".to_owned()),
                    };
                }
                "unfinished" => {
                    query.unfinished = value(text, "set `unfinished` to `true` or `false`")?;
                }
                "after" => {
                    let cursor = CursorText::parse(CursorKind::Log, text);
                    query.after = Some(cursor.map_err(|why| why.to_string())?);
                }
                "cursor" => query.cursor = value(text, "set `cursor` to `true` or `false`")?,
                _ => return Err(PARAMETERS.to_owned()),
            }
            Ok(())
        })?;
        Ok(query)
    }

    /// Returns the filter that this query asks for.
    pub fn log_filter(&self) -> LineFilter {
        let grep = self.grep.iter().map(|pattern| pattern.regex().clone()).collect();
        let LogQuery { since, from, before, stream, status_mode, unfinished, .. } = *self;
        let form = StoredForm::Output;
        LineFilter { since, from, before, stream, grep, status_mode, unfinished, form }
    }

    /// Returns the query text for [`LogQuery::parse`].
    pub(crate) fn to_text(&self) -> String {
        let mut params = QueryParams::default().with("follow", self.follow);
        for name in &self.services {
            params = params.with("service", name);
        }
        if let Some(last) = self.last {
            params = params.with("last", last);
        }
        if let Some(since) = self.since {
            let since = jiff::Timestamp::from_millisecond(since).unwrap_or_default();
            params = params.with("since", since);
        }
        if let Some(from) = self.from {
            params = params.with("from", from);
        }
        if let Some(before) = self.before {
            params = params.with("before", before);
        }
        if let Some(stream) = self.stream {
            params = params.with(
                "stream",
                match stream {
                    OutputStream::Stdout => "stdout",
                    OutputStream::Stderr => "stderr",
                },
            );
        }
        for grep in &self.grep {
            params = params.with("grep", grep.regex());
        }
        if self.unfinished {
            params = params.with("unfinished", true);
        }
        if let Some(after) = &self.after {
            params = params.with("after", after);
        }
        if self.cursor {
            params = params.with("cursor", true);
        }
        match self.status_mode {
            StatusMode::Without => params,
            StatusMode::With => params.with("said", true),
            StatusMode::Only => params.with("said", "only"),
        }
        .into_text()
    }
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
                grep: vec![LogPattern::new(r"^a &b=c%20\+\s[äö] #?/'$").unwrap()],
                ..LogQuery::default()
            },
            LogQuery { since: Some(-1), stream: Some(OutputStream::Stdout), ..LogQuery::default() },
            LogQuery { unfinished: true, ..LogQuery::default() },
            LogQuery { after: "log-1-7".parse().ok(), cursor: true, ..LogQuery::default() },
            LogQuery {
                grep: ["a", "b", "c"].map(|text| LogPattern::new(text).unwrap()).into(),
                ..LogQuery::default()
            },
            LogQuery { from: Some(7), before: Some(u64::MAX), ..LogQuery::default() },
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
            "after=changes-1-7",
            "cursor=1",
            "grep=%",
            "grep=%f",
            "grep=%zz",
            "grep=%ff",
            "since=now",
            "since=",
            "stream=stdin",
            "grep=a&grep=b&grep=c&grep=d&grep=e",
            "from=-1",
            "before=",
            "said=yes",
            "grep=(((a{1000}){1000}){1000})",
        ] {
            assert!(LogQuery::parse(text).is_err(), "{text}");
        }
        assert_eq!(LogQuery::parse("&&"), Ok(LogQuery::default()));
        let plus = LogQuery::parse("grep=a+b").unwrap().grep;
        assert_eq!(plus, [LogPattern::new("a b").unwrap()]);
    }
}
