use crate::control::LogPattern;
use crate::control::protocol::QueryParams;
use crate::model::{Message, MessageClass, Name};

/// How many lines of each service a tab gets at first, and how many lines a search finds.
const LINES: usize = 500;

/// The most of them.
const MAX_LINES: usize = 5_000;

/// The parameters of a request to `/api`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ApiQuery {
    stack: Option<String>,
    service: Option<String>,
    /// A variable whose value is shown.
    pub reveal: Option<String>,
    lines: Option<usize>,
    /// Only lines since then, in milliseconds since 1970.
    pub since: Option<i64>,
    pub grep: Option<LogPattern>,
    /// Whether a stream ends once it is up to date.
    pub once: bool,
    /// Only requests with larger numbers.
    pub after: u64,
}

impl ApiQuery {
    pub fn parse(text: &str) -> Result<ApiQuery, Message> {
        let mut query = ApiQuery::default();
        QueryParams::read(text, |key, value| {
            let number = || value.parse().map_err(|_| format!("set `{key}` to a number"));
            match key {
                "stack" => query.stack = Some(value.to_owned()),
                "service" => query.service = Some(value.to_owned()),
                "reveal" => query.reveal = Some(value.to_owned()),
                "lines" => query.lines = Some(usize::try_from(number()?).unwrap_or(MAX_LINES)),
                "since" => {
                    query.since =
                        Some(value.parse().map_err(|_| "set `since` to milliseconds since 1970")?)
                }
                "grep" => query.grep = Some(LogPattern::new(value).map_err(|why| why.text)?),
                "once" => {
                    query.once = value.parse().map_err(|_| "set `once` to `true` or `false`")?;
                }
                "after" => query.after = number()?,
                _ => return Err("see the requests of the dashboard's page".to_owned()),
            }
            Ok(())
        })?;
        Ok(query)
    }

    pub fn stack(&self) -> Result<&str, Message> {
        self.stack.as_deref().ok_or_else(|| Message::new(MessageClass::Usage, "no stack is named"))
    }

    pub fn service(&self) -> Result<&str, Message> {
        self.service
            .as_deref()
            .ok_or_else(|| Message::new(MessageClass::Usage, "no service is named"))
    }

    /// Returns the services whose lines are wanted; none: all.
    pub fn services(&self) -> Result<Vec<Name>, Message> {
        let name = |text: &String| {
            Name::new(text.as_str()).map_err(|why| {
                Message::new(MessageClass::Usage, format!("invalid service name: {why}"))
            })
        };
        self.service.iter().map(name).collect()
    }

    pub fn lines(&self) -> usize {
        self.lines.unwrap_or(LINES).min(MAX_LINES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read() {
        let query = ApiQuery::parse("stack=a1&service=api&lines=99999&since=-5&after=7&grep=a%20b")
            .unwrap();
        assert_eq!((query.stack().unwrap(), query.service().unwrap()), ("a1", "api"));
        assert_eq!((query.lines(), query.since, query.after), (MAX_LINES, Some(-5), 7));
        assert!(ApiQuery::default().stack().is_err());
        for wrong in ["x=1", "lines=x", "grep=(", "stack", "stack=%zz", "since=1e3", "lines=-1"] {
            assert!(ApiQuery::parse(wrong).is_err(), "{wrong}");
        }
    }
}
