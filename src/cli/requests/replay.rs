//! `devstack requests replay ID`.

use std::io::Write;
use std::net::Ipv4Addr;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::exchange_text::{display_status, display_time};
use super::recorded_stack::RecordedStack;
use crate::cli::render::{CommandError, clean_stdout};
use crate::control::CaDir;
use crate::exit_code::ExitCode;
use crate::https::{self, LocalCa};
use crate::model::{DisplaySize, Message, MessageClass};
use crate::proxy::{ExchangeRecord, RecordedMessage};
use crate::text::one_line;

/// Headers about one connection, and those that are made anew.
const OF_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "content-length",
];

/// Headers that differ each time.
const CHANGING: [&str; 2] = ["date", "content-length"];

/// Sends a request again, through the proxy to the current run, and says how the response differs.
pub(super) async fn replay(
    stack: &RecordedStack,
    record: ExchangeRecord,
) -> Result<ExitCode, CommandError> {
    let request = rebuild_request(&record)?;
    let address = (Ipv4Addr::LOCALHOST, stack.proxy.port);
    let stream = TcpStream::connect(address).await.map_err(|error| no_response(&record, &error))?;
    if record.scheme != "https" {
        return send(stream, request, &record).await;
    }
    let ca = LocalCa::load(CaDir::locate()?.path())?.ok_or_else(|| {
        let text = format!("request {} cannot be sent again: no local CA", record.id);
        Message::new(MessageClass::Usage, text).help("run `devstack trust`")
    })?;
    let name = record.host.rsplit_once(':').map_or(record.host.as_str(), |(name, _)| name);
    let stream = https::connect(stream, &ca, name, &["http/1.1"]).await;
    send(stream.map_err(|error| no_response(&record, &error))?, request, &record).await
}

fn no_response(record: &ExchangeRecord, error: &dyn std::fmt::Display) -> Message {
    let text = format!("request {} got no response: {error}", record.id);
    Message::new(MessageClass::Busy, text).help("check the stack with `devstack ps`")
}

/// Sends a request over a connection and prints what comes.
async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    request: Request<Full<Bytes>>,
    record: &ExchangeRecord,
) -> Result<ExitCode, CommandError> {
    let failed = |error: &dyn std::fmt::Display| no_response(record, error);
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let begun = Instant::now();
    let mut out = clean_stdout();
    let sent = async {
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let (head, mut body) = response.into_parts();
        let what = format!("{} {}", one_line(&record.method), one_line(&record.target));
        write!(out, "{what}: {}", display_status(head.status.as_u16()))?;
        out.flush()?;
        let old = record.response.as_ref();
        let mut compared = BodyComparison::with(old);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| failed(&error))?;
            if let Some(data) = frame.data_ref() {
                compared.take(data);
            }
        }
        let took = display_time(begun.elapsed().as_secs_f64() * 1000.0);
        writeln!(out, " in {took}, {}", DisplaySize(compared.bytes))?;
        out.write_all(
            differences(record, head.status.as_u16(), &head.headers, &compared).as_bytes(),
        )?;
        out.flush()?;
        Ok(ExitCode::OK)
    };
    tokio::select! {
        result = sent => result,
        // The connection only makes progress here; its errors are those of the request.
        Err(error) = connection => Err(failed(&error).into()),
    }
}

/// Makes the request anew.
fn rebuild_request(record: &ExchangeRecord) -> Result<Request<Full<Bytes>>, Message> {
    let refused = |why: String, help: &str| {
        let text = format!("request {} cannot be sent again: {why}", record.id);
        Message::new(MessageClass::Usage, text).help(help)
    };
    if let Some(protocol) = &record.upgrade {
        let why = format!("it changed the protocol to {}", one_line(protocol));
        return Err(refused(why, "choose another one with `devstack requests`"));
    }
    let message = &record.request;
    if !message.whole {
        let (kept, all) = (DisplaySize(message.body.len() as u64), DisplaySize(message.bytes));
        let why = format!("only {kept} of its body were recorded, and {all} came");
        return Err(refused(why, "record more with `bodies` in [stack.proxy]: bodies = \"1MiB\""));
    }
    let invalid = |what: &str| refused(format!("invalid {what}"), "send it with another program");
    let mut request = Request::new(Full::new(Bytes::from(message.body.clone())));
    *request.method_mut() =
        Method::from_bytes(record.method.as_bytes()).map_err(|_| invalid("method"))?;
    *request.uri_mut() = Uri::try_from(record.target.as_str()).map_err(|_| invalid("path"))?;
    for (name, value) in message.headers.iter() {
        if OF_CONNECTION.contains(&name) {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("header"))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid("header"))?;
        request.headers_mut().append(name, value);
    }
    // In HTTP/2, it is not among the headers.
    let host = HeaderValue::try_from(&record.host).map_err(|_| invalid("host"))?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

/// Compares a body with a recorded one while it arrives.
struct BodyComparison<'r> {
    /// `None`: the recorded body is missing or incomplete.
    old: Option<&'r [u8]>,
    bytes: u64,
    same: bool,
}

impl<'r> BodyComparison<'r> {
    fn with(old: Option<&'r RecordedMessage>) -> BodyComparison<'r> {
        let old = old.filter(|old| old.whole).map(|old| old.body.as_slice());
        BodyComparison { old, bytes: 0, same: true }
    }

    fn take(&mut self, data: &[u8]) {
        if let Some(old) = self.old {
            let rest = usize::try_from(self.bytes).ok().and_then(|at| old.get(at..));
            self.same &= rest.is_some_and(|rest| rest.starts_with(data));
        }
        self.bytes += data.len() as u64;
    }

    /// `None`: unknown.
    fn is_same(&self) -> Option<bool> {
        self.old.map(|old| self.same && old.len() as u64 == self.bytes)
    }
}

/// Returns how a response differs from the recorded one. Names headers only: values may be secret.
fn differences(
    record: &ExchangeRecord,
    status: u16,
    headers: &HeaderMap,
    body: &BodyComparison<'_>,
) -> String {
    let (Some(old_status), Some(old)) = (record.status, &record.response) else {
        return format!("  request {} had no response\n", record.id);
    };
    let mut lines = Vec::new();
    if status != old_status {
        lines.push(format!("status: {status}, was {old_status}"));
    }
    let mut names: Vec<&str> = old.headers.iter().map(|(name, _)| name).collect();
    names.extend(headers.keys().map(HeaderName::as_str));
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().filter(|name| !CHANGING.contains(name)) {
        let was = old.headers.iter().filter(|(known, _)| *known == name);
        let was: Vec<&[u8]> = was.map(|(_, value)| value.as_bytes()).collect();
        let is: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        match (was.is_empty(), is.is_empty()) {
            (true, _) => lines.push(format!("header {name}: new")),
            (_, true) => lines.push(format!("header {name}: no longer there")),
            _ if was != is => lines.push(format!("header {name}: differs")),
            _ => {}
        }
    }
    let was = DisplaySize(old.bytes);
    match body.is_same() {
        Some(false) => lines.push(format!("body: differs, was {was}")),
        None if body.bytes != old.bytes => lines.push(format!("body: differs, was {was}")),
        None => {
            lines.push("body: as long, not compared: it was not recorded as a whole".to_owned())
        }
        Some(true) => {}
    }
    if lines.is_empty() {
        return format!("  the same as for request {}\n", record.id);
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::requests::exchange_text::tests::{add_header, record};

    #[test]
    fn only_a_whole_request_is_sent_again() {
        let mut post = record("POST /a?b 500");
        add_header(&mut post.request, "connection", "close");
        add_header(&mut post.request, "cookie", "a=1");
        let request = rebuild_request(&post).unwrap();
        assert_eq!(
            (request.method().as_str(), request.uri().to_string()),
            ("POST", "/a?b".to_owned())
        );
        let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "cookie", "host"]);
        let refused = |record: &ExchangeRecord| rebuild_request(record).unwrap_err().text;
        post.request.whole = false;
        post.request.bytes = 70_000;
        let text =
            "request 17 cannot be sent again: only 5 B of its body were recorded, and 70 kB came";
        assert_eq!(refused(&post), text);
        post.upgrade = Some("websocket".to_owned());
        let text = "request 17 cannot be sent again: it changed the protocol to websocket";
        assert_eq!(refused(&post), text);
    }

    #[test]
    fn a_response_is_compared() {
        let old = record("GET / 500");
        let response = old.response.as_ref();
        let compare = |parts: &[&[u8]], status, type_: &'static str| {
            let mut body = BodyComparison::with(response);
            parts.iter().for_each(|part| body.take(part));
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static(type_));
            differences(&old, status, &headers, &body)
        };
        let same = compare(&[b"hel", b"lo"], 500, "text/plain");
        assert_eq!(same, "  the same as for request 17\n");
        let other = compare(&[b"hello!"], 200, "text/html");
        let expected =
            "  status: 200, was 500\n  header content-type: differs\n  body: differs, was 5 B\n";
        assert_eq!(other, expected);
        assert!(compare(&[b"hell"], 500, "text/plain").contains("body: differs"));
        assert!(compare(&[b"hello", b"x"], 500, "text/plain").contains("body: differs"));
    }
}
