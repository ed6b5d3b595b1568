use crate::model::{Message, MessageClass};
use crate::process::{TermSize, TtyId};
use crate::terminal::ClientScreen;

/// Parameters of `GET /v1/attach`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachQuery {
    /// The service, or one of its replicas.
    pub service: String,
    /// The client's terminal; sizes are 0 if unknown.
    pub screen: ClientScreen,
}

impl AttachQuery {
    /// Parses `service=api&rows=40&columns=120&terminal=24-5`.
    pub(crate) fn parse(text: &str) -> Result<AttachQuery, Message> {
        let mut service = None;
        let mut size = TermSize { rows: 0, columns: 0 };
        let mut terminal = None;
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let number = || value.parse().map_err(|_| bad(part));
            match key {
                "service" => service = Some(value.to_owned()),
                "rows" => size.rows = number()?,
                "columns" => size.columns = number()?,
                "terminal" => terminal = Some(device(value).ok_or_else(|| bad(part))?),
                _ => return Err(bad(part)),
            }
        }
        let service = service.ok_or_else(|| bad(text))?;
        Ok(AttachQuery { service, screen: ClientScreen { size, terminal } })
    }

    /// Returns the query text. Characters that no service name contains become `_`.
    pub(crate) fn to_text(&self) -> String {
        let AttachQuery { service, screen: ClientScreen { size, terminal } } = self;
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let service: String = service.chars().map(plain).collect();
        let terminal =
            terminal.map(|TtyId { system, inode }| format!("&terminal={system}-{inode}"));
        let terminal = terminal.unwrap_or_default();
        format!("service={service}&rows={}&columns={}{terminal}", size.rows, size.columns)
    }
}

fn device(text: &str) -> Option<TtyId> {
    let (system, inode) = text.split_once('-')?;
    Some(TtyId { system: system.parse().ok()?, inode: inode.parse().ok()? })
}

fn bad(part: &str) -> Message {
    let part: String = part.chars().take(80).collect();
    Message::new(MessageClass::Usage, format!("invalid query parameter `{part}`"))
        .help("use a query such as service=api&rows=40&columns=120")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_survive_their_text() {
        let size = TermSize { rows: 40, columns: 120 };
        let terminal = Some(TtyId { system: 24, inode: u64::MAX });
        for terminal in [terminal, None] {
            let screen = ClientScreen { size, terminal };
            let query = AttachQuery { service: "api-2".to_owned(), screen };
            assert_eq!(AttachQuery::parse(&query.to_text()), Ok(query));
        }
        let short = AttachQuery::parse("service=a").map(|query| query.screen.size.known());
        assert_eq!(short, Ok(None));
        for text in [
            "",
            "rows=1",
            "service=a&rows=x",
            "service=a&rows=-1",
            "service=a&x=1",
            "service=a&rows=65536",
            "service=a&terminal=24",
            "service=a&terminal=24--5",
        ] {
            assert!(AttachQuery::parse(text).is_err(), "{text}");
        }
        let screen = ClientScreen { size, terminal: None };
        let odd = AttachQuery { service: "a&rows=9 \r\n".to_owned(), screen };
        assert!(odd.to_text().starts_with("service=a_rows_9___&"));
    }
}
