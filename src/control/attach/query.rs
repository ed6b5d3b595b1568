use crate::model::{Class, Message};
use crate::runtime::process::Size;

/// Who attaches to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachQuery {
    /// The service, or the one replica of it.
    pub service: String,
    /// How much fits on the screen; 0 when that is unknown.
    pub size: Size,
}

impl AttachQuery {
    /// Reads `service=api&rows=40&columns=120`.
    pub(in crate::control) fn parse(text: &str) -> Result<AttachQuery, Message> {
        let mut service = None;
        let mut size = Size { rows: 0, columns: 0 };
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let number = || value.parse().map_err(|_| bad(part));
            match key {
                "service" => service = Some(value.to_owned()),
                "rows" => size.rows = number()?,
                "columns" => size.columns = number()?,
                _ => return Err(bad(part)),
            }
        }
        let service = service.ok_or_else(|| bad(text))?;
        Ok(AttachQuery { service, size })
    }

    /// The text that [`AttachQuery::parse`] reads. What cannot be the name of a service becomes one that none has.
    pub(in crate::control) fn to_text(&self) -> String {
        let AttachQuery { service, size } = self;
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let service: String = service.chars().map(plain).collect();
        format!("service={service}&rows={}&columns={}", size.rows, size.columns)
    }
}

fn bad(part: &str) -> Message {
    let part: String = part.chars().take(80).collect();
    Message::new(Class::Usage, format!("cannot read `{part}` in the query"))
        .help("the query looks like service=api&rows=40&columns=120")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_survive_their_text() {
        let size = Size { rows: 40, columns: 120 };
        let query = AttachQuery { service: "api-2".to_owned(), size };
        assert_eq!(AttachQuery::parse(&query.to_text()), Ok(query));
        let short = AttachQuery::parse("service=a").map(|query| query.size.known());
        assert_eq!(short, Ok(None));
        for text in [
            "",
            "rows=1",
            "service=a&rows=x",
            "service=a&rows=-1",
            "service=a&x=1",
            "service=a&rows=65536",
        ] {
            assert!(AttachQuery::parse(text).is_err(), "{text}");
        }
        let odd = AttachQuery { service: "a&rows=9 \r\n".to_owned(), size };
        assert!(odd.to_text().starts_with("service=a_rows_9___&"));
    }
}
