use super::url_text::{decode, encode};
use crate::model::{Class, Message};

/// The name that the query of `GET /v1/env` says.
pub(super) fn parse(query: &str) -> Result<String, Message> {
    let bad =
        |text: &str| Message::new(Class::Usage, text).help("name one service: /v1/env?service=api");
    let mut parts = query.split('&').filter(|part| !part.is_empty());
    let (Some(part), None) = (parts.next(), parts.next()) else {
        return Err(bad("the environment is that of one service"));
    };
    match part.split_once('=') {
        Some(("service", name)) => decode(name).ok_or_else(|| bad("cannot read the query")),
        Some(_) | None => Err(bad("the only parameter is `service`")),
    }
}

/// The path that asks for the environment of a service.
pub(super) fn path(service: &str) -> String {
    let mut path = "/v1/env?service=".to_owned();
    encode(service, &mut path);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_survives() {
        for name in ["api", "a-1", "", "ä b&c=%"] {
            let path = path(name);
            let (_, query) = path.split_once('?').unwrap();
            assert_eq!(parse(query), Ok(name.to_owned()));
        }
        for bad in ["", "x=1", "service", "service=a&service=b", "service=%zz"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
