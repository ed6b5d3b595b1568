//! What passes in both directions.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper::HeaderMap;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

use super::*;

const HEAD: &str = "Host: web.shop.localhost\r\nConnection: close\r\n";

async fn in_front_of(port: u16) -> TestProxy {
    TestProxy::for_services(&[service("web", "ready", 1, port)]).await
}

/// A body of whatever is sent.
struct SentBody(mpsc::UnboundedReceiver<Frame<Bytes>>);

impl Body for SentBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// A body of this size that is made while it is read, and counts how much was.
struct LargeBody {
    left: usize,
    made: Arc<AtomicUsize>,
}

impl Body for LargeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static PART: [u8; 64 << 10] = [b'x'; 64 << 10];
        let size = self.left.min(PART.len());
        self.left -= size;
        self.made.fetch_add(size, Ordering::Relaxed);
        Poll::Ready((size > 0).then(|| Ok(Frame::data(Bytes::from_static(&PART[..size])))))
    }
}

#[test]
fn events_arrive_one_by_one() {
    run(async {
        let (events, receiver) = mpsc::unbounded_channel();
        let receiver = Rc::new(RefCell::new(Some(receiver)));
        let port = server(move |_| {
            let body = SentBody(receiver.take().unwrap());
            async move { Response::new(body.boxed_unsync()) }
        })
        .await;
        let proxy = in_front_of(port).await;
        let mut client = proxy.connect().await;
        client.write_all(get("web.shop.localhost", "/").as_bytes()).await.unwrap();
        for number in 0..3 {
            let event = format!("data: {number}\n\n");
            events.send(Frame::data(event.clone().into())).unwrap();
            let part = read_until(&mut client, &event).await;
            assert_eq!(part.contains("transfer-encoding: chunked"), number == 0, "{part}");
        }
        // The service learns that the client has left.
        drop(client);
        events.closed().await;
    });
}

#[test]
fn an_upload_arrives_while_it_is_sent() {
    run(async {
        let (received, mut parts) = mpsc::unbounded_channel();
        let port = server(move |request| {
            let received = received.clone();
            async move {
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    received.send(frame.unwrap().into_data().unwrap()).unwrap();
                }
                text("done")
            }
        })
        .await;
        let proxy = in_front_of(port).await;
        let mut client = proxy.connect().await;
        let head = format!("POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        for part in ["one", "two"] {
            client.write_all(format!("3\r\n{part}\r\n").as_bytes()).await.unwrap();
            assert_eq!(parts.recv().await.unwrap(), part);
        }
        client.write_all(b"0\r\n\r\n").await.unwrap();
        assert!(read_to_end(&mut client).await.ends_with("done"));
    });
}

#[test]
fn trailers_pass_in_both_directions() {
    run(async {
        let port = server(|request| async move {
            assert_eq!(request.headers()["te"], "trailers");
            let body = request.into_body().collect().await.unwrap();
            let sum = body.trailers().unwrap()["x-sum"].clone();
            let (frames, receiver) = mpsc::unbounded_channel();
            frames.send(Frame::data(body.to_bytes())).unwrap();
            let trailers = HeaderMap::from_iter([("x-echo".parse().unwrap(), sum)]);
            frames.send(Frame::trailers(trailers)).unwrap();
            let mut response = Response::new(SentBody(receiver).boxed_unsync());
            response.headers_mut().insert("trailer", "x-echo".parse().unwrap());
            response
        })
        .await;
        let proxy = in_front_of(port).await;
        let response = proxy
            .exchange(
                "POST / HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: close, TE\r\n\
                 TE: trailers, deflate\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n",
            )
            .await;
        assert!(response.ends_with("2\r\nhi\r\n0\r\nx-echo: 42\r\n\r\n"), "{response}");
    });
}

#[test]
fn head_has_a_length_and_no_body() {
    run(async {
        let proxy =
            in_front_of(raw_server("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n").await).await;
        let response = proxy.exchange(format!("HEAD / HTTP/1.1\r\n{HEAD}\r\n")).await;
        assert!(response.contains("content-length: 1234\r\n"), "{response}");
        assert!(response.ends_with("\r\n\r\n"), "{response}");
    });
}

#[test]
fn a_service_may_refuse_a_body_before_it_is_sent() {
    run(async {
        let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
        let proxy = in_front_of(raw_server(refusal).await).await;
        let head = "Content-Length: 999\r\nExpect: 100-continue\r\n\r\n";
        let response = proxy.exchange(format!("PUT / HTTP/1.1\r\n{HEAD}{head}")).await;
        assert!(response.starts_with("HTTP/1.1 413 Content Too Large\r\n"), "{response}");
        assert!(response.ends_with("\r\n\r\nno"), "{response}");
    });
}

#[test]
fn hop_by_hop_headers_of_a_response_stay_behind() {
    run(async {
        let response = "HTTP/1.1 299 Custom Reason\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\
                        Keep-Alive: timeout=1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
                        Upgrade: h2\r\nContent-Length: 2\r\n\r\nok";
        let proxy = in_front_of(raw_server(response).await).await;
        let response = proxy.get("web.shop.localhost", "/").await;
        assert!(response.starts_with("HTTP/1.1 299 Custom Reason\r\n"), "{response}");
        assert!(response.contains("set-cookie: a=1\r\nset-cookie: b=2\r\n"), "{response}");
        for gone in ["hop", "keep-alive", "upgrade"] {
            assert!(!response.to_lowercase().contains(gone), "{response}");
        }
    });
}

#[test]
fn old_clients_and_servers_work() {
    run(async {
        let proxy = in_front_of(raw_server("HTTP/1.0 200 OK\r\n\r\nuntil the end").await).await;
        let response = proxy.get("web.shop.localhost", "/").await;
        assert!(response.contains("transfer-encoding: chunked\r\n"), "{response}");
        let old = "GET / HTTP/1.0\r\nHost: web.shop.localhost\r\n\r\n";
        let response = proxy.exchange(old).await;
        assert!(response.starts_with("HTTP/1.0 200 OK\r\n"), "{response}");
        assert!(!response.contains("chunked"), "{response}");
        assert!(response.ends_with("\r\n\r\nuntil the end"), "{response}");
    });
}

/// Servers that stop wait for the end of their responses, which events never have.
#[test]
fn events_end_with_the_run_and_other_streams_do_not() {
    run(async {
        let (closed, mut was_closed) = mpsc::unbounded_channel();
        let web = serve_with(move |mut stream| {
            let closed = closed.clone();
            async move {
                let head = read_until(&mut stream, "\r\n\r\n").await;
                let kind = if head.contains("/plain") {
                    "text/plain"
                } else {
                    "Text/Event-Stream; charset=utf-8"
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(b"6\r\ndata: \r\n").await.unwrap();
                read_to_end(&mut stream).await;
                closed.send(kind).unwrap();
            }
        })
        .await;
        let proxy = in_front_of(web).await;
        let open = async |method: &str, path: &str| {
            let mut client = proxy.connect().await;
            let head = format!("{method} {path} HTTP/1.1\r\nHost: web.shop.localhost\r\n\r\n");
            client.write_all(head.as_bytes()).await.unwrap();
            read_until(&mut client, "data: \r\n").await;
            client
        };
        let mut events = open("GET", "/events").await;
        let others = [open("GET", "/plain").await, open("POST", "/events").await];
        proxy.publish(&[service("web", "stopping", 1, web)]);
        // The end is not a cut: another request can follow on this connection.
        read_until(&mut events, "0\r\n\r\n").await;
        assert!(was_closed.recv().await.unwrap().starts_with("Text/"));
        events.write_all(get("web.shop.localhost", "/plain").as_bytes()).await.unwrap();
        proxy.parked(1).await;
        for other in &others {
            let nothing = other.try_read(&mut [0; 8]).unwrap_err();
            assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
        }
        assert!(was_closed.try_recv().is_err());
    });
}

/// A server that agrees to every upgrade and then repeats what it gets; it sends `first` early.
async fn upgrading_server() -> u16 {
    serve_with(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        if !head.contains("upgrade: websocket\r\n") || !head.contains("connection: upgrade\r\n") {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            return;
        }
        let response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                        Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nfirst";
        stream.write_all(response.as_bytes()).await.unwrap();
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap();
    })
    .await
}

#[test]
fn a_web_socket_becomes_a_tunnel() {
    run(async {
        let proxy = in_front_of(upgrading_server().await).await;
        let mut client = proxy.connect().await;
        let head = "GET /ws HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: keep-alive, Upgrade\r\n\
                    Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\nearly";
        client.write_all(head.as_bytes()).await.unwrap();
        let head = read_until(&mut client, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        for line in ["upgrade: websocket\r\n", "connection: upgrade\r\n", "sec-websocket-accept: x"]
        {
            assert!(head.contains(line), "{head}");
        }
        read_until(&mut client, "firstearly").await;
        client.write_all(b"\0\xffbytes").await.unwrap();
        read_until(&mut client, "bytes").await;
        assert_eq!(proxy.proxy.in_flight(), 1);
        // New routes do not disturb it.
        proxy.publish(&[service("web", "stopping", 1, 1)]);
        tokio::task::yield_now().await;
        client.write_all(b"still here").await.unwrap();
        read_until(&mut client, "still here").await;
        // The end passes, too.
        client.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut client).await, "");
    });
}

#[test]
fn an_upgrade_to_http2_is_ignored() {
    run(async {
        let proxy = in_front_of(echo_server("web").await).await;
        let response = proxy
            .exchange(
                "GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\
                 Connection: Upgrade, HTTP2-Settings, close\r\n\r\n",
            )
            .await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert!(!response.contains("h2c") && !response.contains("http2-settings"), "{response}");
    });
}

#[test]
fn connections_to_a_service_are_used_again() {
    run(async {
        let opened = Rc::new(Cell::new(0));
        let counted = opened.clone();
        let port = serve_with(move |mut stream| {
            counted.set(counted.get() + 1);
            async move {
                loop {
                    read_until(&mut stream, "\r\n\r\n").await;
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                        .await
                        .unwrap();
                }
            }
        })
        .await;
        let proxy = in_front_of(port).await;
        for _ in 0..5 {
            assert!(proxy.get("web.shop.localhost", "/").await.ends_with("ok"));
        }
        assert_eq!(opened.get(), 1);
    });
}

#[test]
fn large_bodies_pass_whole() {
    const SIZE: usize = 64 << 20;
    run(async {
        let port = server(|request| async move {
            // What arrives is sent back while it arrives.
            Response::new(request.into_body().map_err(|_| unreachable!()).boxed_unsync())
        })
        .await;
        let proxy = in_front_of(port).await;
        let (mut from, mut to) = proxy.connect().await.into_split();
        let upload = spawn_local(async move {
            let head = format!("POST / HTTP/1.1\r\n{HEAD}Content-Length: {SIZE}\r\n\r\n");
            to.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..SIZE / (64 << 10) {
                to.write_all(&[b'x'; 64 << 10]).await.unwrap();
            }
            to
        });
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(from.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200"));
        // Chunks, because the server does not repeat the length.
        let (mut sum, mut part) = (0, vec![0; 64 << 10]);
        loop {
            match from.read(&mut part).await.unwrap() {
                0 => break,
                size => {
                    sum += part[..size].iter().map(|byte| usize::from(*byte == b'x')).sum::<usize>()
                }
            }
        }
        let _to = upload.await.unwrap();
        assert_eq!(sum, SIZE);
    });
}

#[test]
fn a_client_that_does_not_read_stops_the_service_and_nobody_else() {
    run(async {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let port = server(move |request| {
            let (made, left) = (counted.clone(), 1 << 40);
            async move {
                match request.uri().path() {
                    "/large" => Response::new(LargeBody { left, made }.boxed_unsync()),
                    _ => text("small"),
                }
            }
        })
        .await;
        let proxy = in_front_of(port).await;
        let mut slow = proxy.connect().await;
        slow.write_all(get("web.shop.localhost", "/large").as_bytes()).await.unwrap();
        read_until(&mut slow, "\r\n\r\n").await;
        for _ in 0..300 {
            assert!(proxy.get("web.shop.localhost", "/").await.ends_with("small"));
        }
        // What the sockets hold.
        let held = made.load(Ordering::Relaxed);
        assert!(held < 64 << 20, "{held}");
        for _ in 0..20 {
            proxy.get("web.shop.localhost", "/").await;
        }
        let more = made.load(Ordering::Relaxed) - held;
        assert!(more < 1 << 20, "{held} and {more}");
    });
}
