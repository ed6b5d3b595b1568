use super::query_params::{QueryParams, value};
use crate::model::{Message, MessageClass};
use crate::sys::file_id::FileId;
use crate::sys::pty::{ClientScreen, TermSize};

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
        const HELP: &str = "use a query such as service=api&rows=40&columns=120";
        let mut service = None;
        let mut size = TermSize { rows: 0, columns: 0 };
        let mut terminal = None;
        QueryParams::read(text, |key, text| {
            match key {
                "service" => service = Some(text.to_owned()),
                "rows" => size.rows = value(text, HELP)?,
                "columns" => size.columns = value(text, HELP)?,
                "terminal" => terminal = Some(FileId::parse(text).ok_or(HELP)?),
                _ => return Err(HELP.to_owned()),
            }
            Ok(())
        })?;
        let service = service.ok_or_else(|| {
            Message::new(MessageClass::Usage, "exactly one service is required").help(HELP)
        })?;
        Ok(AttachQuery { service, screen: ClientScreen { size, terminal } })
    }

    pub(crate) fn to_text(&self) -> String {
        let AttachQuery { service, screen: ClientScreen { size, terminal } } = self;
        let params = QueryParams::default()
            .with("service", service)
            .with("rows", size.rows)
            .with("columns", size.columns);
        match terminal {
            Some(terminal) => params.with("terminal", terminal),
            None => params,
        }
        .into_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_survive_their_text() {
        let size = TermSize { rows: 40, columns: 120 };
        let terminal = Some(FileId { device: 24, inode: u64::MAX });
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
        assert_eq!(AttachQuery::parse(&odd.to_text()), Ok(odd));
    }
}
