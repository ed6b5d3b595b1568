use bytes::Bytes;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::forward_request::ForwardRequest;
use super::host_name::HostName;
use super::response_body::ResponseBody;
use super::route::{Route, StackRoutes};
use super::route_table::RouteTable;
use crate::model::{DisplayDuration, Message, MessageClass};
use crate::text::{clean, quote};

/// Marks responses of the proxy itself: the class of the error. The page reloads when it is gone.
pub(super) const ERROR_HEADER: HeaderName = HeaderName::from_static("devstack-error");

/// In seconds.
const RETRY: HeaderValue = HeaderValue::from_static("2");

/// The page loads nothing and can send requests only to its own service.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
     frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
);

/// How many names a refusal lists.
const LISTED: usize = 50;

/// The proxy's own answer to a request that no service gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub message: Message,
    /// Where the client should go instead.
    location: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, class: MessageClass, text: impl Into<String>) -> Refusal {
        Refusal { status, message: Message::new(class, text), location: None }
    }

    fn help(mut self, help: impl Into<String>) -> Refusal {
        self.message = self.message.help(help);
        self
    }

    /// No, several or an invalid `Host`.
    pub fn no_host() -> Refusal {
        let text = "the request has no single valid `Host` header";
        Refusal::new(StatusCode::BAD_REQUEST, MessageClass::Usage, text)
    }

    /// A tunnel to another server.
    pub fn tunnel() -> Refusal {
        let text = "`CONNECT` is not supported: this is not a forward proxy";
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, MessageClass::Usage, text)
    }

    /// A body with a coding that hyper does not undo.
    pub fn transfer_coding() -> Refusal {
        let text = "the only supported `Transfer-Encoding` is `chunked`";
        Refusal::new(StatusCode::NOT_IMPLEMENTED, MessageClass::Usage, text)
    }

    /// A request that has been here before.
    pub fn looped(route: &Route) -> Refusal {
        let text = format!("{} sends requests for {} back to the proxy", route.service, route.name);
        Refusal::new(StatusCode::LOOP_DETECTED, MessageClass::Config, text)
            .help("let it forward to the URL of another service, not to its own name")
    }

    /// A name that is not one of ours. Pages of other sites may get to see this one (DNS rebinding),
    /// except for names below `.localhost`.
    pub fn unknown_host(host: &HostName, table: &RouteTable) -> Refusal {
        if !host.is_local() {
            return Refusal::unknown_to_remote();
        }
        let status = StatusCode::MISDIRECTED_REQUEST;
        let text = format!("no running stack has the name {}", quote(host.as_str()));
        Refusal::new(status, MessageClass::NotRunning, text)
            .help(available("available names", table.names()))
    }

    /// The same for clients that may not learn which names there are.
    pub fn unknown_to_remote() -> Refusal {
        Refusal::new(StatusCode::MISDIRECTED_REQUEST, MessageClass::Denied, "unknown host")
    }

    /// Without names, paths, commands and lines of logs, which are for the user of the stacks.
    pub fn brief(mut self) -> Refusal {
        self.message.help.clear();
        self.message.detail.clear();
        self
    }

    /// A name other than that of the TLS connection, whose certificate is not for it.
    pub fn misdirected(host: &HostName) -> Refusal {
        let text = format!("this connection is not for {}", quote(host.as_str()));
        Refusal::new(StatusCode::MISDIRECTED_REQUEST, MessageClass::Usage, text)
            .help("open another connection")
    }

    /// A request over `http` to a stack that wants `https`. Browsers must not remember that: it may
    /// change.
    pub fn https_only(route: &Route, request: &ForwardRequest) -> Refusal {
        let location = format!("https://{}{}", request.host.authority, request.target);
        let text = format!("{} is at {location}", route.service);
        let refusal = Refusal::new(StatusCode::TEMPORARY_REDIRECT, MessageClass::Usage, text);
        Refusal { location: Some(location), ..refusal }
    }

    /// A name in the domain of a stack without a service of this name.
    pub fn no_service(host: &HostName, stack: &StackRoutes) -> Refusal {
        let text = format!("no service has the name {}", quote(host.as_str()));
        Refusal::new(StatusCode::NOT_FOUND, MessageClass::Usage, text)
            .help(available("available services", stack.names.iter().map(String::as_str)))
    }

    /// A service that does not run and will not on its own.
    pub fn down(message: &Message) -> Refusal {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Refusal { status, message: message.clone(), location: None }
    }

    /// A service whose stack is shutting down.
    pub fn ending(stack: &str) -> Refusal {
        Refusal::unavailable(MessageClass::NotRunning, format!("the stack {stack} is stopping"))
            .help("start it again with `devstack up`")
    }

    /// A service whose stack has stopped while the request waited.
    pub fn gone(host: &HostName) -> Refusal {
        let text = format!("{} is no longer running", host.as_str());
        Refusal::unavailable(MessageClass::NotRunning, text)
            .help("start it again with `devstack up`")
    }

    /// A client that has closed its side of the connection; it may still read.
    pub fn client_left() -> Refusal {
        let text = "the client closed its side of the connection before the service was ready";
        Refusal::new(StatusCode::REQUEST_TIMEOUT, MessageClass::Usage, text)
    }

    /// The proxy is shutting down.
    pub fn closing() -> Refusal {
        Refusal::unavailable(MessageClass::NotRunning, "the proxy is stopping")
    }

    /// Too many requests wait.
    pub fn crowded(route: &Route, waiting: usize) -> Refusal {
        let text = format!("{waiting} requests already wait for {}", route.service);
        Refusal::unavailable(MessageClass::Limit, text).help(why(route))
    }

    /// A service that was not ready in time.
    pub fn late(route: &Route, cause: &str) -> Refusal {
        let wait = DisplayDuration(route.stack.wait);
        let text = format!("{} is not ready after {wait}: {cause}", route.service);
        Refusal::unavailable(MessageClass::ReadyTimeout, text).help(why(route))
    }

    fn unavailable(class: MessageClass, text: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, class, text)
    }

    /// A service that closed the connection or did not speak HTTP. The request is not repeated.
    pub fn broken(route: &Route, error: &str) -> Refusal {
        let text = format!("{} gave no valid response: {error}", route.service);
        Refusal::new(StatusCode::BAD_GATEWAY, MessageClass::Exit, text)
            .help(format!("run `devstack logs {}` in {}", route.service, route.stack.dir))
    }

    /// Makes the response, in the format that the client asks for.
    pub fn response(&self, format: RefusalFormat) -> Response<ResponseBody> {
        let body = format.write(self.status, &self.message);
        let mut response = Response::new(ResponseBody::own(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(class) = HeaderValue::try_from(self.message.class.to_string()) {
            headers.insert(ERROR_HEADER, class);
        }
        let location = self.location.as_ref().and_then(|to| HeaderValue::try_from(to).ok());
        headers.extend(location.map(|to| (LOCATION, to)));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY);
        }
        if format == RefusalFormat::Html {
            headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        }
        response
    }
}

fn why(route: &Route) -> String {
    format!("run `devstack why {}` in {}", route.service, route.stack.dir)
}

/// `available names: a, b`
fn available<'n>(what: &str, names: impl Iterator<Item = &'n str>) -> String {
    let mut names = names.peekable();
    if names.peek().is_none() {
        return format!("{what}: none");
    }
    let mut listed: Vec<&str> = names.by_ref().take(LISTED).collect();
    if names.next().is_some() {
        listed.push("…");
    }
    format!("{what}: {}", listed.join(", "))
}

/// How a refusal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalFormat {
    /// For terminals.
    Text,
    /// For programs.
    Json,
    /// For browsers.
    Html,
}

impl RefusalFormat {
    /// Returns what a client with these headers can show best.
    pub fn accepted(headers: &HeaderMap) -> RefusalFormat {
        let accepts = |kind| {
            let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let mut ranges = values.flat_map(|value| value.split(','));
            ranges.any(|range| {
                range.split(';').next().is_some_and(|range| range.trim().eq_ignore_ascii_case(kind))
            })
        };
        if accepts("text/html") {
            RefusalFormat::Html
        } else if accepts("application/json") {
            RefusalFormat::Json
        } else {
            RefusalFormat::Text
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            RefusalFormat::Text => "text/plain; charset=utf-8",
            RefusalFormat::Json => "application/json",
            RefusalFormat::Html => "text/html; charset=utf-8",
        }
    }

    fn write(self, status: StatusCode, message: &Message) -> Bytes {
        match self {
            RefusalFormat::Text => {
                let detail = match message.detail.as_str() {
                    "" => String::new(),
                    detail => format!("{}\n", detail.trim_end()),
                };
                clean(&(message.render() + &detail), false).into_owned().into()
            }
            RefusalFormat::Json => {
                #[derive(Serialize)]
                struct ErrorObject<'m> {
                    error: &'m Message,
                }
                let json = serde_json::to_vec(&ErrorObject { error: message });
                json.expect("a message has only texts").into()
            }
            RefusalFormat::Html => page(status, message).into(),
        }
    }
}

/// Returns the page. The template has each placeholder once, in this order.
fn page(status: StatusCode, message: &Message) -> String {
    let texts =
        [status.to_string(), message.text.clone(), message.help.clone(), message.detail.clone()];
    let mut page = String::new();
    let mut parts = include_str!("refusal.html").split("{}");
    page.push_str(parts.next().unwrap_or_default());
    for (text, rest) in texts.iter().zip(parts) {
        push_escaped(&mut page, &clean(text, false));
        page.push_str(rest);
    }
    page
}

fn push_escaped(page: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            c => page.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_the_format_that_they_accept() {
        for (accept, format) in [
            ("", RefusalFormat::Text),
            ("*/*", RefusalFormat::Text),
            ("application/json", RefusalFormat::Json),
            ("application/json;q=0.9, */*", RefusalFormat::Json),
            ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", RefusalFormat::Html),
            ("Text/HTML; q=1", RefusalFormat::Html),
            ("image/png", RefusalFormat::Text),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(RefusalFormat::accepted(&headers), format, "{accept}");
        }
        assert_eq!(RefusalFormat::accepted(&HeaderMap::new()), RefusalFormat::Text);
    }

    #[test]
    fn nothing_in_a_message_controls_the_page_or_the_terminal() {
        let message = Message::new(MessageClass::Exit, "<script>alert('x')</script>\x1b[2J")
            .help("a & \"b\"")
            .detail("line 1\n{}\nline 3");
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let html = RefusalFormat::Html.write(status, &message);
        let html = str::from_utf8(&html).unwrap();
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), "{html}");
        assert!(html.contains("a &amp; &quot;b&quot;"), "{html}");
        assert!(html.contains("line 1\n{}\nline 3"), "{html}");
        let text = RefusalFormat::Text.write(status, &message);
        let text = str::from_utf8(&text).unwrap();
        assert!(!text.contains('\x1b') && !html.contains('\x1b'), "{text}");
        assert!(text.starts_with("error: <script>"), "{text}");
        assert!(text.ends_with("  help: a & \"b\"\nline 1\n{}\nline 3\n"), "{text}");
        let json = RefusalFormat::Json.write(status, &message);
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["error"]["class"], "exit");
        assert_eq!(json["error"]["help"], "a & \"b\"");
    }
}
