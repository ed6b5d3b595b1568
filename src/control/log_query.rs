use crate::model::{Class, Message, Name};

/// Which lines of which services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Of these services; of all when empty.
    pub services: Vec<Name>,
    /// That many lines that were there before; `None`: all that are kept.
    pub last: Option<usize>,
    /// Whether new lines follow until the stack ends.
    pub follow: bool,
}

impl LogQuery {
    /// Reads `service=a&service=b&last=100&follow=true`.
    pub(super) fn parse(text: &str) -> Result<LogQuery, Message> {
        let mut query = LogQuery::default();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key {
                "service" => {
                    let name = Name::new(value).map_err(|why| bad(part, &why.to_string()))?;
                    query.services.push(name);
                }
                "last" => {
                    let count =
                        value.parse().map_err(|_| bad(part, "`last` is a count of lines"))?;
                    query.last = Some(count);
                }
                "follow" => {
                    query.follow =
                        value.parse().map_err(|_| bad(part, "`follow` is `true` or `false`"))?;
                }
                _ => return Err(bad(part, "the parameters are `service`, `last` and `follow`")),
            }
        }
        Ok(query)
    }

    /// The text that [`LogQuery::parse`] reads. Names need no escapes.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("follow={}", self.follow);
        for name in &self.services {
            text.push_str("&service=");
            text.push_str(name.as_str());
        }
        if let Some(last) = self.last {
            text.push_str(&format!("&last={last}"));
        }
        text
    }
}

fn bad(part: &str, help: &str) -> Message {
    let part: String = part.chars().take(80).collect();
    Message::new(Class::Usage, format!("cannot read `{part}` in the query")).help(help)
}

#[cfg(test)]
mod tests {
    use super::LogQuery;
    use crate::model::Name;

    #[test]
    fn queries_survive_their_text() {
        let name = |text| Name::new(text).unwrap();
        for query in [
            LogQuery::default(),
            LogQuery { services: vec![name("a"), name("b-2")], last: Some(0), follow: true },
            LogQuery { services: vec![], last: Some(usize::MAX), follow: false },
        ] {
            assert_eq!(LogQuery::parse(&query.to_text()), Ok(query));
        }
    }

    #[test]
    fn other_queries_are_refused() {
        for text in ["service=A", "service", "last=-1", "last=1e9", "follow=yes", "x=1", "=", "a"] {
            assert!(LogQuery::parse(text).is_err(), "{text}");
        }
        assert_eq!(LogQuery::parse("&&"), Ok(LogQuery::default()));
    }
}
