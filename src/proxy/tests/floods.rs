//! Too much, too slow, cut off or read in two ways: the right status, and others unhurt.

use std::cell::RefCell;

use super::*;

const WEB: &str = "web.shop.localhost";

/// A proxy in front of a server that is well.
async fn in_front_of_echo() -> TestProxy {
    TestProxy::for_services(&[service("web", "ready", 1, echo_server("web").await)]).await
}

/// Others are answered.
async fn serves_others(proxy: &TestProxy) {
    let response = proxy.get(WEB, "/other").await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
}

#[test]
fn heads_without_end_are_refused_and_cost_little() {
    run(async {
        let proxy = in_front_of_echo().await;
        for (start, more) in [
            ("GET / HTTP/1.1\r\nHost: web.shop.localhost\r\n", "X: y\r\n"),
            ("GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nX: ", "yyyyyyyy"),
            ("GET /", "yyyyyyyy"),
            ("", "yyyyyyyy"),
        ] {
            let mut client = proxy.connect().await;
            client.write_all(start.as_bytes()).await.unwrap();
            let more = more.repeat(1024);
            let mut sent = 0;
            // What the kernel takes for both sides is not the proxy's.
            while sent < 64 << 20 && client.write_all(more.as_bytes()).await.is_ok() {
                sent += more.len();
            }
            assert!(sent < 64 << 20, "{start:?}");
            let response = read_to_end(&mut client).await;
            let status = ["HTTP/1.1 431 ", "HTTP/1.1 414 ", "HTTP/1.1 400 "];
            // Bytes that nobody reads may take the response away.
            let refused = response.is_empty() || status.iter().any(|it| response.starts_with(it));
            assert!(refused, "{start:?}: {response}");
            serves_others(&proxy).await;
        }
        // A flood that is complete gets the status.
        for (headers, status) in
            [("X: y\r\n".repeat(2000), 431), (format!("X: {}\r\n", "y".repeat(65 << 10)), 431)]
        {
            let head = format!("GET / HTTP/1.1\r\nHost: {WEB}\r\n{headers}\r\n");
            let response = proxy.exchange(head).await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        }
    });
}

#[test]
fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    run(async {
        let services = [service("web", "ready", 1, echo_server("web").await)];
        let time = Some(Duration::from_millis(300));
        let proxy = TestProxy::with_https(&[stack(&services)], HttpsConfig::new(None), time).await;
        let slow = |start: &'static str| {
            let address = proxy.address;
            spawn_local(async move {
                let mut client = TcpStream::connect(address).await.unwrap();
                client.write_all(start.as_bytes()).await.unwrap();
                while client.write_all(b"y").await.is_ok() {
                    let mut byte = [0];
                    let pause = Duration::from_millis(10);
                    if let Ok(read) = timeout(pause, client.read(&mut byte)).await {
                        return read.is_ok_and(|read| read > 0);
                    }
                }
                false
            })
        };
        let head = "GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nX: ";
        let slow: Vec<_> =
            (0..100).map(|number| slow(if number % 2 == 0 { head } else { "G" })).collect();
        serves_others(&proxy).await;
        for client in slow {
            // Closed, without an answer.
            assert!(!client.await.unwrap());
        }
    });
}

#[test]
fn a_thousand_idle_connections_cost_nobody_an_answer_and_go_when_they_are_closed() {
    run(async {
        let proxy = in_front_of_echo().await;
        let mut idle = Vec::new();
        for number in 0..1000 {
            let mut client = proxy.connect().await;
            match number % 3 {
                // Between two requests, within a head, before any.
                0 => {
                    let request = format!("GET / HTTP/1.1\r\nHost: {WEB}\r\n\r\n");
                    client.write_all(request.as_bytes()).await.unwrap();
                    assert!(read_until(&mut client, "\n\n").await.starts_with("HTTP/1.1 200"));
                }
                1 => client.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap(),
                _ => {}
            }
            idle.push(client);
        }
        serves_others(&proxy).await;
        let connected = || proxy.proxy.clients();
        assert!(connected() >= 1000, "{}", connected());
        drop(idle);
        while connected() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_client_that_is_half_closed_has_left() {
    run(async {
        let (proxy, mut asked) = never_answering().await;
        let request = format!("GET / HTTP/1.1\r\nHost: {WEB}\r\n\r\n");
        let upload = format!("POST / HTTP/1.1\r\nHost: {WEB}\r\nContent-Length: 9\r\n\r\n12345");
        // Before, within and after a request.
        for sent in ["", "GET / HTTP", &request, &upload] {
            let mut client = proxy.connect().await;
            client.write_all(sent.as_bytes()).await.unwrap();
            if sent.ends_with("\r\n\r\n") {
                asked.recv().await.unwrap();
            }
            client.shutdown().await.unwrap();
            let response = read_to_end(&mut client).await;
            assert!(!response.starts_with("HTTP/1.1 2"), "{sent:?}: {response}");
        }
        while proxy.proxy.in_flight() + proxy.proxy.clients() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

/// A proxy in front of a server that tells that it was asked, and waits for the client to leave.
async fn never_answering() -> (TestProxy, mpsc::UnboundedReceiver<()>) {
    let (tell, asked) = mpsc::unbounded_channel();
    let port = serve_with(move |mut stream| {
        let tell = tell.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let _ = tell.send(());
            read_to_end(&mut stream).await;
        }
    });
    (TestProxy::for_services(&[service("web", "ready", 1, port.await)]).await, asked)
}

#[test]
fn a_service_that_half_closes_has_answered() {
    run(async {
        let port = serve_with(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            stream.shutdown().await.unwrap();
            // Whatever is sent now is lost.
            read_to_end(&mut stream).await;
        });
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, port.await)]).await;
        for _ in 0..5 {
            assert!(proxy.get(WEB, "/").await.ends_with("\r\n\r\nok"));
        }
    });
}

#[test]
fn a_service_that_dies_within_a_long_body_cuts_only_that_one() {
    run(async {
        let dying = serve_with(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let part = "y".repeat(1 << 20);
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n";
            stream.write_all(format!("{head}{part}").as_bytes()).await.unwrap();
        });
        let services = [
            service("web", "ready", 1, echo_server("web").await),
            service("api", "ready", 2, dying.await),
        ];
        let proxy = TestProxy::for_services(&services).await;
        let cut: Vec<_> = (0..20).map(|_| proxy.spawn_get("api.shop.localhost", "/")).collect();
        serves_others(&proxy).await;
        for cut in cut {
            let response = cut.await.unwrap();
            assert!(response.starts_with("HTTP/1.1 200 OK\r\n"));
            assert!(response.len() < 9_999_999, "the client sees that it is not whole");
        }
        serves_others(&proxy).await;
    });
}

#[test]
fn a_service_that_refuses_an_upload_early_is_heard() {
    run(async {
        let port = serve_with(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let refusal =
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(refusal).await.unwrap();
            stream.shutdown().await.unwrap();
            read_to_end(&mut stream).await;
        });
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, port.await)]).await;
        let head = format!("POST / HTTP/1.1\r\nHost: {WEB}\r\nContent-Length: 900000000\r\n\r\n");
        let mut client = proxy.connect().await;
        client.write_all(head.as_bytes()).await.unwrap();
        let response = read_until(&mut client, "\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    });
}

/// Every byte that a service gets, and whether it answers: as a server that reads bodies in the
/// simplest way there is.
async fn simple_server() -> (TestProxy, Rc<RefCell<String>>) {
    let got = Rc::new(RefCell::new(String::new()));
    let noted = got.clone();
    let port = serve_with(move |mut stream| {
        let noted = noted.clone();
        async move {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte.into());
            }
            noted.borrow_mut().push_str(&head);
            let lower = head.to_ascii_lowercase();
            let length = lower.split("\r\ncontent-length: ").nth(1);
            let length = length.and_then(|rest| rest.split('\r').next()?.parse().ok()).unwrap_or(0);
            let chunked = lower.contains("\r\ntransfer-encoding: chunked\r\n");
            let mut body = String::new();
            while if chunked { !body.ends_with("0\r\n\r\n") } else { body.len() < length } {
                let Ok(byte) = stream.read_u8().await else { return };
                body.push(byte.into());
            }
            noted.borrow_mut().push_str(&body);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            let _ = stream.write_all(answer).await;
            let rest = read_to_end(&mut stream).await;
            noted.borrow_mut().push_str(&rest);
        }
    });
    (TestProxy::for_services(&[service("web", "ready", 1, port.await)]).await, got)
}

/// What proxies and servers read in two ways. The proxy refuses it or makes it unambiguous: the
/// service never gets the second request as one of its own.
#[test]
fn nothing_is_smuggled_past_the_proxy() {
    const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: web.shop.localhost\r\n\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let within = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    run(async {
        let (proxy, got) = simple_server().await;
        let mut wrong = Vec::new();
        for (head, body, status) in [
            // CL.TE and TE.CL: chunks outweigh a length, which is not passed on.
            (format!("Content-Length: 6\r\n{chunked}"), format!("0\r\n\r\n{SECOND}"), 200),
            (format!("{chunked}Content-Length: 4\r\n"), within(SECOND), 200),
            (
                format!("Content-Length: {}\r\n{chunked}", SECOND.len() + 5),
                format!("0\r\n\r\n{SECOND}"),
                200,
            ),
            // TE.TE
            (format!("{chunked}Transfer-Encoding: identity\r\n"), within(SECOND), 400),
            (format!("{chunked}Transfer-Encoding: x\r\n"), within(SECOND), 400),
            (format!("Transfer-Encoding: x\r\n{chunked}"), within(SECOND), 501),
            ("Transfer-Encoding: chunked,\r\n".to_owned(), within(SECOND), 400),
            ("Transfer-Encoding:\tchunked\r\n".to_owned(), within("hi"), 200),
            ("Transfer-Encoding: CHUNKED\r\n".to_owned(), within("hi"), 200),
            (
                "Transfer_Encoding: chunked\r\nContent-Length: 2\r\n".to_owned(),
                format!("hi{SECOND}"),
                200,
            ),
            // CL.CL
            ("Content-Length: 2\r\nContent-Length: 2\r\n".to_owned(), format!("hi{SECOND}"), 200),
            ("Content-Length: 2\r\nContent-Length: 60\r\n".to_owned(), format!("hi{SECOND}"), 400),
            ("Content-Length: 2, 60\r\n".to_owned(), format!("hi{SECOND}"), 400),
            ("Content-Length: 002\r\n".to_owned(), format!("hi{SECOND}"), 200),
            // Lengths that the hop-by-hop rule would remove.
            (
                "Connection: content-length\r\nContent-Length: 2\r\n".to_owned(),
                "hi".to_owned(),
                200,
            ),
            (format!("Connection: transfer-encoding\r\n{chunked}"), within("hi"), 200),
            ("Connection: host\r\nContent-Length: 2\r\n".to_owned(), "hi".to_owned(), 200),
            // Folded lines and bare line ends.
            ("X: a\r\n Content-Length: 2\r\n".to_owned(), "hi".to_owned(), 400),
            ("X: a\rContent-Length: 2\r\n".to_owned(), "hi".to_owned(), 400),
            ("X: a\nContent-Length: 2\r\n".to_owned(), format!("hi{SECOND}"), 200),
            ("X: a\r\n\rContent-Length: 2\r\n".to_owned(), "hi".to_owned(), 400),
            // Chunks.
            (chunked.to_owned(), "2;a=b\r\nhi\r\n0\r\n\r\n".to_owned(), 200),
            (chunked.to_owned(), "2;a=\"\r\nhi\r\n0\r\n\r\n".to_owned(), 200),
            (chunked.to_owned(), format!("2;\nhi\r\n0\r\n\r\n{SECOND}"), 0),
            (chunked.to_owned(), format!("2\rX\nhi\r\n0\r\n\r\n{SECOND}"), 0),
            (chunked.to_owned(), format!("0002\r\nhi\r\n00\r\n\r\n{SECOND}"), 200),
            (chunked.to_owned(), format!("2 \r\nhi\r\n0\r\n\r\n{SECOND}"), 200),
            (chunked.to_owned(), format!("0x2\r\nhi\r\n0\r\n\r\n{SECOND}"), 0),
            (chunked.to_owned(), format!("2\r\nhi0\r\n\r\n{SECOND}"), 0),
            (chunked.to_owned(), format!("10000000000000002\r\nhi\r\n0\r\n\r\n{SECOND}"), 0),
            (
                chunked.to_owned(),
                format!("2\r\nhi\r\n0\r\nContent-Length: 60\r\nHost: x\r\n\r\n{SECOND}"),
                200,
            ),
            (chunked.to_owned(), format!("2\r\nhi\r\n0\r\nX{SECOND}"), 0),
        ] {
            got.borrow_mut().clear();
            // Without `close` the second request would be a request of its own, and right.
            let close = if head.contains("Connection") { "" } else { "Connection: close\r\n" };
            let request = format!("POST /first HTTP/1.1\r\nHost: {WEB}\r\n{close}{head}\r\n{body}");
            let mut client = proxy.connect().await;
            client.write_all(request.as_bytes()).await.unwrap();
            if status == 0 {
                // Some wait for more.
                client.shutdown().await.unwrap();
            }
            let response = match close {
                "" => read_until(&mut client, "\r\n\r\nok").await,
                _ => read_to_end(&mut client).await,
            };
            let is_expected = match status {
                0 => !response.starts_with("HTTP/1.1 200 "),
                _ => response.starts_with(&format!("HTTP/1.1 {status} ")),
            };
            let got = got.borrow();
            let lower = got.to_ascii_lowercase();
            let framings = ["\r\ncontent-length: ", "\r\ntransfer-encoding: "];
            let heads = got.matches("POST /first HTTP/1.1\r\n").count();
            // Trailers may look like headers; nobody takes them for such.
            let head = lower.split_once("\r\n\r\n").map_or("", |(head, _)| head);
            let framed: usize = framings.iter().map(|name| head.matches(name).count()).sum();
            let smuggled = got.contains("\r\n\r\nGET /smuggled");
            if !is_expected || heads > 1 || framed != heads || smuggled {
                wrong.push(format!("{request:?}: {response:?}, the service got {got:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        serves_others(&in_front_of_echo().await).await;
    });
}
