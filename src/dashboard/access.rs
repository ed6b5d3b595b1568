//! Which requests are allowed: decided before anything else is looked at.

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

/// Says in a browser where a request comes from.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessRefusal {
    /// It is for another host: a page whose name was made to lead here.
    OtherHost,
    /// A page of another origin sent it.
    OtherOrigin,
    /// It changes something, and no page says that it sent it.
    NoOrigin,
    /// Its body is not JSON: forms of other pages can send that.
    NotJson,
}

impl AccessRefusal {
    pub fn status(self) -> StatusCode {
        match self {
            AccessRefusal::OtherHost => StatusCode::MISDIRECTED_REQUEST,
            AccessRefusal::OtherOrigin | AccessRefusal::NoOrigin => StatusCode::FORBIDDEN,
            AccessRefusal::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            AccessRefusal::OtherHost => "the dashboard does not have this name",
            AccessRefusal::OtherOrigin => "requests from other pages are refused",
            AccessRefusal::NoOrigin => "an `Origin` header is required",
            AccessRefusal::NotJson => "the body must be JSON",
        }
    }
}

/// Returns whether a request to one of our origins comes from a page there.
pub(super) fn check(request: &Parts, origins: &[String]) -> Result<(), AccessRefusal> {
    let own = own_origin(request, origins).ok_or(AccessRefusal::OtherHost)?;
    let headers = &request.headers;
    match sole(headers, ORIGIN.as_str()) {
        Sole::One(origin) if origin == own.as_bytes() => {}
        Sole::None if request.method == Method::GET => {}
        Sole::None => return Err(AccessRefusal::NoOrigin),
        Sole::One(_) | Sole::Several => return Err(AccessRefusal::OtherOrigin),
    }
    if is_api(request.uri.path()) {
        match sole(headers, SEC_FETCH_SITE) {
            // Programs do not send it.
            Sole::None | Sole::One(b"same-origin") => {}
            Sole::One(_) | Sole::Several => return Err(AccessRefusal::OtherOrigin),
        }
        if request.method != Method::GET && !is_json(headers) {
            return Err(AccessRefusal::NotJson);
        }
    }
    Ok(())
}

/// Whether a path needs the token.
pub(super) fn is_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Returns the token that a request has.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    match sole(headers, AUTHORIZATION.as_str()) {
        Sole::One(value) => value.strip_prefix(b"Bearer "),
        Sole::None | Sole::Several => None,
    }
}

fn own_origin<'a>(request: &Parts, origins: &'a [String]) -> Option<&'a String> {
    let header = match sole(&request.headers, HOST.as_str()) {
        Sole::One(host) => Some(host),
        Sole::None => None,
        Sole::Several => return None,
    };
    let target = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = target.or(header)?;
    let is_host = |origin: &&String| {
        let (_, own) = origin.split_once("://").unwrap_or_default();
        own.as_bytes().eq_ignore_ascii_case(host)
    };
    origins.iter().find(is_host)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Sole::One(value) = sole(headers, CONTENT_TYPE.as_str()) else { return false };
    let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

enum Sole<'a> {
    None,
    One(&'a [u8]),
    Several,
}

fn sole<'a>(headers: &'a HeaderMap, name: &str) -> Sole<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Sole::None,
        (Some(value), None) => Sole::One(value.as_bytes()),
        (Some(_), Some(_)) => Sole::Several,
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn judge(method: Method, path: &str, headers: &[(&str, &str)]) -> Result<(), AccessRefusal> {
        let origins = ["http://127.0.0.1:7779", "http://localhost:7779"].map(str::to_owned);
        let request = Request::builder().method(method).uri(path);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        check(&request.body(()).unwrap().into_parts().0, &origins)
    }

    const OWN: (&str, &str) = ("host", "127.0.0.1:7779");
    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
    const ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:7779");

    #[test]
    fn only_our_hosts_are_answered() {
        for host in ["127.0.0.1:7779", "LOCALHOST:7779"] {
            assert_eq!(judge(Method::GET, "/", &[("host", host)]), Ok(()));
        }
        for host in [
            "evil.example",
            "evil.example:7779",
            "0.0.0.0:7779",
            "[::]:7779",
            "127.0.0.1.evil:7779",
            "localhost.evil:7779",
            "",
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost.:7779",
            "x@127.0.0.1:7779",
        ] {
            for path in ["/", "/api/stacks"] {
                let refused = judge(Method::GET, path, &[("host", host)]);
                assert_eq!(refused, Err(AccessRefusal::OtherHost), "{host}");
            }
        }
        assert_eq!(judge(Method::GET, "/", &[]), Err(AccessRefusal::OtherHost));
        assert_eq!(judge(Method::GET, "/", &[OWN, OWN]), Err(AccessRefusal::OtherHost));
        let absolute = judge(Method::GET, "http://evil.example/api/stacks", &[OWN]);
        assert_eq!(absolute, Err(AccessRefusal::OtherHost));
    }

    #[test]
    fn only_our_pages_are_answered() {
        for origin in [
            "http://evil.example",
            "null",
            "",
            "http://localhost:3000",
            "http://web.localhost",
            "https://127.0.0.1:7779",
            "http://localhost:7779",
            "http://127.0.0.1:7779/",
        ] {
            for method in [Method::GET, Method::POST] {
                let refused = judge(method, "/api/do", &[OWN, ("origin", origin), JSON]);
                assert_eq!(refused, Err(AccessRefusal::OtherOrigin), "{origin}");
            }
        }
        assert_eq!(judge(Method::POST, "/api/do", &[OWN, ORIGIN, JSON]), Ok(()));
        assert_eq!(judge(Method::POST, "/api/do", &[OWN, JSON]), Err(AccessRefusal::NoOrigin));
        assert_eq!(judge(Method::OPTIONS, "/api/do", &[OWN]), Err(AccessRefusal::NoOrigin));
        let twice = judge(Method::POST, "/api/do", &[OWN, ORIGIN, ORIGIN, JSON]);
        assert_eq!(twice, Err(AccessRefusal::OtherOrigin));
    }

    #[test]
    fn what_browsers_say_about_the_sender_counts() {
        for (site, path, result) in [
            ("same-origin", "/api/stacks", Ok(())),
            ("none", "/api/stacks", Err(AccessRefusal::OtherOrigin)),
            ("same-site", "/api/stacks", Err(AccessRefusal::OtherOrigin)),
            ("cross-site", "/api/stacks", Err(AccessRefusal::OtherOrigin)),
            ("none", "/", Ok(())),
            ("cross-site", "/", Ok(())),
        ] {
            assert_eq!(judge(Method::GET, path, &[OWN, ("sec-fetch-site", site)]), result);
        }
    }

    #[test]
    fn what_forms_can_send_is_refused() {
        let kinds = [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/jsonx",
        ];
        for kind in kinds {
            let refused = judge(Method::POST, "/api/do", &[OWN, ORIGIN, ("content-type", kind)]);
            assert_eq!(refused, Err(AccessRefusal::NotJson), "{kind}");
        }
        assert_eq!(judge(Method::POST, "/api/do", &[OWN, ORIGIN]), Err(AccessRefusal::NotJson));
    }
}
