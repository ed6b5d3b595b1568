use crate::encoding::{percent_decode, percent_encode};
use crate::model::{Message, MessageClass};

/// Parses the service name from the query of `path`.
pub(crate) fn parse(path: &str, query: &str) -> Result<String, Message> {
    let bad = |text: &str| {
        Message::new(MessageClass::Usage, text)
            .help(format!("give one service: {path}?service=api"))
    };
    let mut parts = query.split('&').filter(|part| !part.is_empty());
    let (Some(part), None) = (parts.next(), parts.next()) else {
        return Err(bad("exactly one service is required"));
    };
    match part.split_once('=') {
        Some(("service", name)) => percent_decode(name).ok_or_else(|| bad("invalid query")),
        Some(_) | None => Err(bad("unknown query parameter")),
    }
}

/// Returns `path` with a query for the service.
pub(crate) fn service_path(path: &str, service: &str) -> String {
    let mut path = format!("{path}?service=");
    percent_encode(service, &mut path);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_survives() {
        for name in ["api", "a-1", "", "ä b&c=%"] {
            let path = service_path("/v1/env", name);
            let (_, query) = path.split_once('?').unwrap();
            assert_eq!(parse("/v1/env", query), Ok(name.to_owned()));
        }
        for bad in ["", "x=1", "service", "service=a&service=b", "service=%zz"] {
            assert!(parse("/v1/env", bad).is_err(), "{bad}");
        }
    }
}
