//! Clients that break the rules of HTTP/2, over TLS: their connection ends, the others go on.

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};

use super::tls::{TlsProxy, echo_stack};
use super::*;

const WEB: &str = "web.shop.localhost";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

// Flags.
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Headers as literals that are not indexed.
fn literals(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", WEB), (":path", "/")];

fn request(stream: u32, flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &literals(&GET))
}

/// A `GET` with other headers behind its own.
fn request_with(headers: &[(&str, &str)]) -> Vec<u8> {
    let headers = [&GET[..], headers].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &literals(&headers))
}

/// A connection after the preface.
async fn begun(tls: &TlsProxy) -> impl AsyncRead + AsyncWrite + Unpin + 'static {
    let mut stream = tls.connect(WEB, "h2").await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).await.unwrap();
    stream
}

/// Reads frames until one `is` the wanted one. Returns all: type, stream and payload. The end of the
/// connection is one, too.
async fn frames_until(
    stream: &mut (impl AsyncRead + Unpin),
    is: impl Fn(u8, u32, &[u8]) -> bool,
) -> Vec<(u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if stream.read_exact(&mut payload).await.is_err() {
            break;
        }
        let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let found = is(head[3], number, &payload);
        frames.push((head[3], number, payload));
        if found {
            break;
        }
    }
    frames
}

#[test]
fn frames_that_are_wrong_end_their_connection_only() {
    let flood = vec![0; 20_000];
    run(async {
        let tls = TlsProxy::new(echo_stack().await).await;
        let other = tls.http2(WEB).await;
        let url = "https://web.shop.localhost:7780/";
        for (name, bytes) in [
            ("data on stream 0", frame(DATA, 0, 0, b"x")),
            ("data on an idle stream", frame(DATA, 0, 1, b"x")),
            ("headers on stream 0", request(0, END_STREAM)),
            ("headers on an even stream", request(2, END_STREAM)),
            ("settings on a stream", frame(SETTINGS, 0, 1, b"")),
            ("settings of a wrong length", frame(SETTINGS, 0, 0, b"abcde")),
            ("an acknowledgement with settings", frame(SETTINGS, ACK, 0, &[0; 6])),
            ("a window that is too large", frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
            ("frames that may be too small", frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1])),
            ("a ping of a wrong length", frame(PING, 0, 0, b"1234567")),
            ("a ping on a stream", frame(PING, 0, 1, b"12345678")),
            ("a reset of stream 0", frame(RST_STREAM, 0, 0, &[0; 4])),
            ("a reset of an idle stream", frame(RST_STREAM, 0, 1, &[0; 4])),
            ("a reset of a wrong length", frame(RST_STREAM, 0, 1, &[0; 3])),
            ("a window update of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
            ("a window update of a wrong length", frame(WINDOW_UPDATE, 0, 0, &[0; 3])),
            ("an overflow", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
            ("a promise of a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
            ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, b"")),
            ("padding that is too long", frame(DATA, PADDED, 1, &[9, 0])),
            ("a goodbye on a stream", frame(GO_AWAY, 0, 1, &[0; 8])),
            ("a frame that is too long", frame(DATA, 0, 1, &flood)),
            (
                "an index of no header",
                frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0x7f]),
            ),
            ("half a header", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0, 5, b'x'])),
            (
                "something between headers",
                [frame(HEADERS, END_STREAM, 1, &literals(&GET)), frame(PING, 0, 0, &[0; 8])]
                    .concat(),
            ),
            (
                "a continuation of another stream",
                [frame(HEADERS, 0, 1, b""), frame(CONTINUATION, END_HEADERS, 3, b"")].concat(),
            ),
            ("an older stream", [request(5, END_STREAM), request(3, END_STREAM)].concat()),
        ] {
            let mut stream = begun(&tls).await;
            stream.write_all(&bytes).await.unwrap();
            let frames = frames_until(&mut stream, |_, _, _| false).await;
            // It says why, unless the bytes that it has not read take that away.
            let last = frames.iter().rev().find(|(kind, ..)| *kind == GO_AWAY);
            let error = last.map(|(_, _, why)| why[4..8] != [0; 4]);
            assert_ne!(error, Some(false), "{name}: {frames:?}");
            assert_eq!(other.get(url).await.0, StatusCode::OK, "{name}");
        }
        assert_eq!(tls.proxy.proxy.clients(), 1, "the connection of the other client is left");
    });
}

#[test]
fn requests_that_are_wrong_end_themselves_only() {
    let without = |left_out: &str| {
        let headers: Vec<_> = GET.into_iter().filter(|(name, _)| *name != left_out).collect();
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &literals(&headers))
    };
    run(async {
        let tls = TlsProxy::new(echo_stack().await).await;
        for (name, bytes) in [
            ("a connection header", request_with(&[("connection", "close")])),
            ("a transfer coding", request_with(&[("transfer-encoding", "chunked")])),
            ("an upgrade", request_with(&[("upgrade", "websocket")])),
            ("upper case", request_with(&[("X-Upper", "1")])),
            ("a line end in a value", request_with(&[("x", "a\r\nhost: evil.com")])),
            ("a colon in a name", request_with(&[("a:b", "1")])),
            ("a pseudo header that is late", request_with(&[("x", "1"), (":path", "/late")])),
            ("two paths", request_with(&[(":path", "/twice")])),
            ("an unknown pseudo header", request_with(&[(":other", "1")])),
            ("a pseudo header of responses", request_with(&[(":status", "200")])),
            ("no path", without(":path")),
            ("no method", without(":method")),
            ("no scheme", without(":scheme")),
            ("a body of another length", {
                let head = literals(&[&GET[..], &[("content-length", "9")]].concat());
                [frame(HEADERS, END_HEADERS, 1, &head), frame(DATA, END_STREAM, 1, b"x")].concat()
            }),
            ("a window update of nothing", {
                [request(1, 0), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat()
            }),
            ("a priority of a wrong length", frame(PRIORITY, 0, 1, &[0; 4])),
        ] {
            let mut stream = begun(&tls).await;
            stream.write_all(&bytes).await.unwrap();
            stream.write_all(&request(3, END_STREAM)).await.unwrap();
            // The next request on the connection is answered, or the connection says why not.
            let is_end = |kind, number, _: &[u8]| number == 3 && kind == HEADERS || kind == GO_AWAY;
            let frames = frames_until(&mut stream, is_end).await;
            let ended =
                frames.last().is_some_and(|(kind, ..)| *kind == HEADERS || *kind == GO_AWAY);
            assert!(ended, "{name}: {frames:?}");
            // 0x88 is the status 200, as an index.
            let passed = |(kind, number, payload): &(u8, u32, Vec<u8>)| {
                *kind == HEADERS && *number == 1 && payload[0] == 0x88
            };
            assert!(!frames.iter().any(passed), "{name}: {frames:?}");
        }
    });
}

#[test]
fn floods_of_frames_end_or_are_kept_up_with() {
    run(async {
        let tls = TlsProxy::new(echo_stack().await).await;
        let other = tls.http2(WEB).await;
        for (name, first, more) in [
            ("headers without end", frame(HEADERS, 0, 1, &literals(&GET)), {
                frame(CONTINUATION, 0, 1, &literals(&[("x", "y"); 100]))
            }),
            ("empty continuations", frame(HEADERS, 0, 1, &literals(&GET)), {
                frame(CONTINUATION, 0, 1, b"")
            }),
            ("pings", Vec::new(), frame(PING, 0, 0, b"12345678")),
            ("settings", Vec::new(), frame(SETTINGS, 0, 0, b"")),
            ("empty data", request(1, 0), frame(DATA, 0, 1, b"")),
        ] {
            let mut stream = begun(&tls).await;
            stream.write_all(&first).await.unwrap();
            let more = more.repeat(100);
            for _ in 0..100 {
                if stream.write_all(&more).await.is_err() {
                    break;
                }
            }
            let (status, _) = other.get("https://web.shop.localhost:7780/").await;
            assert_eq!(status, StatusCode::OK, "{name}");
        }
        // Requests that are taken back at once.
        let mut stream = begun(&tls).await;
        for number in 0..5000 {
            let id = number * 2 + 1;
            let pair = [request(id, END_STREAM), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat();
            if stream.write_all(&pair).await.is_err() {
                break;
            }
        }
        let (status, _) = other.get("https://web.shop.localhost:7780/").await;
        assert_eq!(status, StatusCode::OK);
        drop(stream);
        while tls.proxy.proxy.clients() > 1 || tls.proxy.proxy.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    });
}
