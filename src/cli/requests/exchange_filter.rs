use std::str::FromStr;
use std::time::Duration;

use crate::model::Name;
use crate::proxy::ExchangeRecord;

/// Which requests to show: those that fit everything.
pub(super) struct ExchangeFilter {
    /// Of these services or replicas; `None`: of all.
    pub services: Option<Vec<Name>>,
    /// With one of these; empty: with any, or none.
    pub statuses: Vec<StatusPattern>,
    /// With one of these; empty: with any.
    pub methods: Vec<String>,
    /// That took this long or have not ended.
    pub slow: Option<Duration>,
    /// That began then or later, in milliseconds since 1970.
    pub since: Option<i64>,
}

impl ExchangeFilter {
    pub fn accepts(&self, record: &ExchangeRecord) -> bool {
        let names = |services: &Vec<Name>| {
            services.contains(&record.service)
                || record.replica.as_ref().is_some_and(|replica| services.contains(replica))
        };
        let has_status = |pattern: &StatusPattern| record.status.is_some_and(|it| pattern.fits(it));
        let has_method = |method: &String| record.method.eq_ignore_ascii_case(method);
        let is_slow =
            |least: Duration| record.total_ms.is_none_or(|ms| ms >= least.as_secs_f64() * 1000.0);
        self.services.as_ref().is_none_or(names)
            && (self.statuses.is_empty() || self.statuses.iter().any(has_status))
            && (self.methods.is_empty() || self.methods.iter().any(has_method))
            && self.slow.is_none_or(is_slow)
            && self.since.is_none_or(|since| record.at >= since)
    }
}

/// One status (`404`) or a hundred (`4xx`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusPattern {
    /// Exactly this.
    Exact(u16),
    /// All that begin with this digit.
    Class(u16),
}

impl StatusPattern {
    fn fits(self, status: u16) -> bool {
        match self {
            StatusPattern::Exact(exact) => status == exact,
            StatusPattern::Class(class) => status / 100 == class,
        }
    }
}

impl FromStr for StatusPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<StatusPattern, &'static str> {
        let pattern = match text.to_ascii_lowercase().strip_suffix("xx") {
            Some(class) => {
                class.parse().ok().filter(|class| (1..=5).contains(class)).map(StatusPattern::Class)
            }
            None => text
                .parse()
                .ok()
                .filter(|status| (100..=599).contains(status))
                .map(StatusPattern::Exact),
        };
        pattern.ok_or("expected a status (404) or a class of them (4xx)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> ExchangeRecord {
        crate::cli::requests::exchange_text::tests::record(text)
    }

    fn all() -> ExchangeFilter {
        ExchangeFilter {
            services: None,
            statuses: vec![],
            methods: vec![],
            slow: None,
            since: None,
        }
    }

    #[test]
    fn statuses_are_numbers_or_classes() {
        assert_eq!("404".parse(), Ok(StatusPattern::Exact(404)));
        assert_eq!("5XX".parse(), Ok(StatusPattern::Class(5)));
        for text in ["", "xx", "6xx", "99", "600", "4x", "-1xx", "é"] {
            assert!(text.parse::<StatusPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn everything_must_fit() {
        let post = record("POST /a 503");
        let open = record("GET /b -");
        let filter = |text: &str| ExchangeFilter { statuses: vec![text.parse().unwrap()], ..all() };
        assert!(all().accepts(&post) && all().accepts(&open));
        assert!(filter("5xx").accepts(&post) && filter("503").accepts(&post));
        assert!(!filter("502").accepts(&post) && !filter("5xx").accepts(&open));
        let get = ExchangeFilter { methods: vec!["get".to_owned()], ..all() };
        assert!(get.accepts(&open) && !get.accepts(&post));
        let slow = |ms| ExchangeFilter { slow: Some(Duration::from_millis(ms)), ..all() };
        assert!(slow(12).accepts(&post) && !slow(13).accepts(&post) && slow(13).accepts(&open));
        let since = |at| ExchangeFilter { since: Some(at), ..all() };
        assert!(since(post.at).accepts(&post) && !since(post.at + 1).accepts(&post));
        let of = |name| ExchangeFilter { services: Some(vec![Name::new(name).unwrap()]), ..all() };
        assert!(
            of("api").accepts(&open) && of("api-1").accepts(&post) && !of("api-1").accepts(&open)
        );
    }
}
