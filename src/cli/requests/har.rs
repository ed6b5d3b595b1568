//! Requests as HTTP Archive (HAR 1.2), which the tools of browsers read.

use serde_json::{Value, json};

use crate::encoding::{percent_decode, rfc3339, to_base64};
use crate::model::DisplaySize;
use crate::proxy::{ExchangeRecord, HIDDEN, RecordedMessage};

/// Returns the text of an archive.
pub(super) fn archive(records: &[ExchangeRecord]) -> String {
    let entries: Vec<Value> = records.iter().map(entry).collect();
    let creator = json!({ "name": "devstack", "version": env!("CARGO_PKG_VERSION") });
    let log = json!({ "version": "1.2", "creator": creator, "entries": entries });
    format!("{:#}\n", json!({ "log": log }))
}

fn entry(record: &ExchangeRecord) -> Value {
    let total = record.total_ms.unwrap_or(0.0);
    let blocked = record.parked_ms.min(total);
    let wait = (record.first_byte_ms.unwrap_or(total) - blocked).max(0.0);
    let receive = (total - blocked - wait).max(0.0);
    json!({
        "startedDateTime": rfc3339(record.at).to_string(),
        "time": total,
        "request": request(record),
        "response": response(record),
        "cache": {},
        "timings": { "blocked": blocked, "send": 0, "wait": wait, "receive": receive },
        // Fields of others begin with an underscore.
        "_id": record.id,
        "_service": record.replica.as_ref().unwrap_or(&record.service),
        "_run": record.run,
        "_end": record.end,
        "_error": record.error,
    })
}

fn request(record: &ExchangeRecord) -> Value {
    let message = &record.request;
    let query = record.target.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| percent_decode(text).unwrap_or_else(|| text.to_owned());
        json!({ "name": decoded(name), "value": decoded(value) })
    });
    let mut request = json!({
        "method": record.method,
        "url": format!("{}://{}{}", record.scheme, record.host, record.target),
        "httpVersion": record.version,
        "cookies": cookies(message, "cookie"),
        "headers": headers(message),
        "queryString": pairs.collect::<Vec<_>>(),
        "headersSize": -1,
        "bodySize": message.bytes,
    });
    if message.bytes > 0 && record.upgrade.is_none() {
        let mut data = json!({ "mimeType": mime_type(message) });
        match message.text() {
            // There is no place for other bytes.
            None => data["comment"] = "not text".into(),
            Some(text) => data["text"] = text.into(),
        }
        if let Some(comment) = cut(message) {
            data["comment"] = comment.into();
        }
        request["postData"] = data;
    }
    request
}

fn response(record: &ExchangeRecord) -> Value {
    let none = RecordedMessage::default();
    let message = record.response.as_ref().unwrap_or(&none);
    let status = record.status.unwrap_or(0);
    let reason = hyper::StatusCode::from_u16(status).ok();
    let mut content = json!({ "size": message.bytes, "mimeType": mime_type(message) });
    if record.upgrade.is_none() {
        match (message.header("content-encoding"), message.text()) {
            // The text would have to be decoded.
            (Some(encoding), _) => content["comment"] = encoding.into(),
            (None, Some(text)) => content["text"] = text.into(),
            (None, None) => {
                content["text"] = to_base64(&message.body).into();
                content["encoding"] = "base64".into();
            }
        }
        if let Some(comment) = cut(message) {
            content["comment"] = comment.into();
        }
    }
    json!({
        "status": status,
        "statusText": reason.and_then(|status| status.canonical_reason()).unwrap_or_default(),
        "httpVersion": record.version,
        "cookies": cookies(message, "set-cookie"),
        "headers": headers(message),
        "content": content,
        "redirectURL": message.header("location").unwrap_or_default(),
        "headersSize": -1,
        "bodySize": message.bytes,
    })
}

fn headers(message: &RecordedMessage) -> Vec<Value> {
    let header = |(name, value)| json!({ "name": name, "value": value });
    message.headers.iter().map(header).collect()
}

/// Returns the cookies in one kind of header, unless they are hidden.
fn cookies(message: &RecordedMessage, header: &str) -> Vec<Value> {
    let lines =
        message.headers.iter().filter(|(name, _): &(&str, &str)| name.eq_ignore_ascii_case(header));
    let lines = lines.map(|(_, value)| value).filter(|value| *value != HIDDEN);
    // What follows in `Set-Cookie` are attributes.
    let most = if header == "cookie" { usize::MAX } else { 1 };
    let pairs = lines.flat_map(|line| line.split(';').take(most));
    let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs.map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn mime_type(message: &RecordedMessage) -> &str {
    message.header("content-type").unwrap_or("application/octet-stream")
}

/// Returns what to say about a body that is not whole.
fn cut(message: &RecordedMessage) -> Option<String> {
    let kept = message.body.len() as u64;
    (kept < message.bytes)
        .then(|| format!("the first {} of {}", DisplaySize(kept), DisplaySize(message.bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::requests::exchange_text::tests::{add_header, record};

    #[test]
    fn an_archive_has_what_the_format_requires() {
        let mut post = record("POST /a?x=1&y=%C3%A9&&z 201");
        post.parked_ms = 2.0;
        add_header(&mut post.request, "cookie", "a=1; b=2");
        let response = post.response.as_mut().unwrap();
        add_header(response, "Set-Cookie", "s=3; Path=/; HttpOnly");
        response.body = vec![0xff];
        response.bytes = 1;
        let open = record("GET /open -");
        let text = archive(&[post.clone(), open]);
        let har: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(har["log"]["version"], "1.2");
        let [first, second] = har["log"]["entries"].as_array().unwrap().as_slice() else {
            panic!()
        };
        let query = json!([
            { "name": "x", "value": "1" }, { "name": "y", "value": "é" }, { "name": "z", "value": "" },
        ]);
        assert_eq!(first["request"]["queryString"], query);
        let cookies = json!([{ "name": "a", "value": "1" }, { "name": "b", "value": "2" }]);
        assert_eq!(first["request"]["cookies"], cookies);
        assert_eq!(first["response"]["cookies"], json!([{ "name": "s", "value": "3" }]));
        assert_eq!(
            first["request"]["postData"],
            json!({ "mimeType": "text/plain", "text": "hello" })
        );
        assert_eq!(first["response"]["content"]["text"], "/w==");
        assert_eq!(first["response"]["content"]["encoding"], "base64");
        let timings = json!({ "blocked": 2.0, "send": 0, "wait": 9.5, "receive": 0.75 });
        assert_eq!(first["timings"], timings);
        assert_eq!(first["time"], 12.25);
        assert_eq!(second["response"]["status"], 0);
        post.hide_secrets();
        let text = archive(&[post]);
        let har: Value = serde_json::from_str(&text).unwrap();
        let entry = &har["log"]["entries"][0];
        assert_eq!(entry["request"]["cookies"], json!([]));
        assert!(!text.contains("a=1") && !text.contains("s=3"), "{text}");
    }
}
