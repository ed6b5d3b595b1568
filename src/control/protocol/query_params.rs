use std::fmt::Display;

use crate::encoding::{percent_decode, percent_encode};
use crate::model::{Message, MessageClass};

/// The parameters of a request, such as `service=api&last=100`.
#[derive(Debug, Default)]
pub(crate) struct QueryParams(String);

impl QueryParams {
    /// Returns these parameters and another one.
    pub fn with(mut self, key: &str, value: impl Display) -> QueryParams {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(key);
        self.0.push('=');
        percent_encode(value.to_string(), &mut self.0);
        self
    }

    /// Returns the path with these parameters.
    pub fn of(self, path: &str) -> String {
        format!("{path}?{}", self.0)
    }

    /// Returns the text that [`QueryParams::read`] understands.
    pub fn into_text(self) -> String {
        self.0
    }

    /// Passes each key and decoded value to `set`, which returns a help text if it is invalid.
    pub fn read(
        text: &str,
        mut set: impl FnMut(&str, &str) -> Result<(), String>,
    ) -> Result<(), Message> {
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let value = part.split_once('=').map(|(key, value)| (key, percent_decode(value)));
            let done = match value {
                Some((key, Some(value))) => set(key, &value),
                Some((_, None)) => Err("follow `%` with two hexadecimal digits".to_owned()),
                None => Err("write parameters as `name=value`".to_owned()),
            };
            done.map_err(|help| {
                let part: String = part.chars().take(80).collect();
                let text = format!("invalid query parameter `{part}`");
                Message::new(MessageClass::Usage, text).help(help)
            })?;
        }
        Ok(())
    }

    /// Returns the service that a query names, and nothing else.
    pub fn read_service(text: &str) -> Result<String, Message> {
        const HELP: &str = "name one service: ?service=api";
        let mut services = Vec::new();
        QueryParams::read(text, |key, value| match key {
            "service" => {
                services.push(value.to_owned());
                Ok(())
            }
            _ => Err(HELP.to_owned()),
        })?;
        <[String; 1]>::try_from(services).map(|[service]| service).map_err(|_| {
            Message::new(MessageClass::Usage, "exactly one service is required").help(HELP)
        })
    }
}

/// Parses a value; an invalid one returns `help`.
pub(super) fn value<T: std::str::FromStr>(text: &str, help: &str) -> Result<T, String> {
    text.parse().map_err(|_| help.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_service_survives() {
        for name in ["api", "a-1", "", "ä b&c=%+"] {
            let path = QueryParams::default().with("service", name).of("/v1/env");
            let (_, query) = path.split_once('?').unwrap();
            assert_eq!(QueryParams::read_service(query), Ok(name.to_owned()));
        }
        for bad in ["", "x=1", "service", "service=a&service=b", "service=%zz"] {
            assert!(QueryParams::read_service(bad).is_err(), "{bad}");
        }
    }
}
