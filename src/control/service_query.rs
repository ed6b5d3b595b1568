use super::url_text::{decode, encode};
use crate::model::{Class, Message};

/// The name that the query of a path about one service says.
pub(super) fn parse(path: &str, query: &str) -> Result<String, Message> {
    let bad = |text: &str| {
        Message::new(Class::Usage, text).help(format!("name one service: {path}?service=api"))
    };
    let mut parts = query.split('&').filter(|part| !part.is_empty());
    let (Some(part), None) = (parts.next(), parts.next()) else {
        return Err(bad("this is asked about one service"));
    };
    match part.split_once('=') {
        Some(("service", name)) => decode(name).ok_or_else(|| bad("cannot read the query")),
        Some(_) | None => Err(bad("the only parameter is `service`")),
    }
}

/// The path with the query that names a service.
pub(super) fn path(path: &str, service: &str) -> String {
    let mut path = format!("{path}?service=");
    encode(service, &mut path);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_survives() {
        for name in ["api", "a-1", "", "ä b&c=%"] {
            let path = path("/v1/env", name);
            let (_, query) = path.split_once('?').unwrap();
            assert_eq!(parse("/v1/env", query), Ok(name.to_owned()));
        }
        for bad in ["", "x=1", "service", "service=a&service=b", "service=%zz"] {
            assert!(parse("/v1/env", bad).is_err(), "{bad}");
        }
    }
}
