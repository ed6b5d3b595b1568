//! Clients and services that break the rules.

use std::cell::RefCell;

use super::*;

/// A proxy in front of a server that notes what it is asked for.
async fn noting() -> (TestProxy, Rc<RefCell<Vec<String>>>) {
    let noted = Rc::new(RefCell::new(Vec::new()));
    let notes = noted.clone();
    let port = server(move |request| {
        let notes = notes.clone();
        async move {
            let head = format!("{} {}", request.method(), request.uri());
            let body = request.into_body().collect().await.map(|body| body.to_bytes());
            notes.borrow_mut().push(match body {
                Ok(body) => format!("{head} {}", String::from_utf8_lossy(&body)),
                Err(_) => format!("{head} (broken)"),
            });
            text("ok")
        }
    })
    .await;
    (TestProxy::for_services(&[service("web", "ready", 1, port)]).await, noted)
}

/// Requests that proxies and servers have read differently.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: web.shop.localhost\r\n\r\n";

#[test]
fn requests_with_unclear_bodies_are_refused() {
    run(async {
        let (proxy, noted) = noting().await;
        for (head, body) in [
            ("Content-Length: 0\r\nContent-Length: 5\r\n", ""),
            ("Content-Length: 0, 5\r\n", ""),
            ("Content-Length: +5\r\n", "hello"),
            ("Content-Length: -1\r\n", ""),
            ("Content-Length: 0x5\r\n", "hello"),
            ("Content-Length: 5 5\r\n", "hello"),
            ("Content-Length: 99999999999999999999\r\n", ""),
            ("Content-Length : 5\r\n", "hello"),
            ("Content-Length:\r\n 5\r\n", "hello"),
            ("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
            ("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
            ("Transfer-Encoding: identity\r\n", ""),
            ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
            ("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
            ("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
            ("Transfer\0Encoding: chunked\r\n", "0\r\n\r\n"),
            ("Transfer-Encoding\r\n: chunked\r\n", "0\r\n\r\n"),
            ("X: a\rContent-Length: 5\r\n", "hello"),
            ("X: a\0b\r\n", ""),
            (" Content-Length: 5\r\n", "hello"),
        ] {
            let request = format!(
                "POST / HTTP/1.1\r\nHost: web.shop.localhost\r\n{head}\r\n{body}{SMUGGLED}"
            );
            let response = proxy.exchange(&request).await;
            assert!(response.starts_with("HTTP/1.1 400"), "{request:?}: {response}");
            assert_eq!(response.matches("HTTP/1.1").count(), 1, "{request:?}: {response}");
        }
        assert!(noted.borrow().is_empty(), "{noted:?}");
    });
}

#[test]
fn codings_that_nobody_would_undo_are_refused() {
    run(async {
        let (proxy, noted) = noting().await;
        for coding in ["gzip, chunked", "chunked, chunked"] {
            let response = proxy
                .exchange(format!(
                    "POST / HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: close\r\n\
                     Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
                ))
                .await;
            assert!(response.starts_with("HTTP/1.1 501"), "{coding}: {response}");
        }
        assert!(noted.borrow().is_empty(), "{noted:?}");
    });
}

#[test]
fn chunks_outweigh_a_length_on_both_sides() {
    run(async {
        let (proxy, noted) = noting().await;
        for lengths in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        ] {
            let request = format!(
                "POST / HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: close\r\n{lengths}\r\n\
                 2\r\nhi\r\n0\r\n\r\n{SMUGGLED}"
            );
            let response = proxy.exchange(&request).await;
            assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
        }
        assert_eq!(*noted.borrow(), ["POST / hi", "POST / hi"]);
    });
}

#[test]
fn broken_chunks_end_the_request() {
    run(async {
        let (proxy, noted) = noting().await;
        for chunks in
            ["zz\r\n", "-1\r\n", "2\r\nhiXX0\r\n\r\n", "ffffffffffffffffff\r\n", "2\nhi\n0\n\n"]
        {
            let request = format!(
                "POST / HTTP/1.1\r\nHost: web.shop.localhost\r\n\
                 Transfer-Encoding: chunked\r\n\r\n{chunks}{SMUGGLED}"
            );
            let response = proxy.exchange(&request).await;
            assert!(!response.contains("200 OK"), "{chunks:?}: {response}");
        }
        let whole = noted.borrow().iter().filter(|note| !note.ends_with("(broken)")).count();
        assert_eq!(whole, 0, "{noted:?}");
    });
}

#[test]
fn requests_without_one_host_are_refused() {
    run(async {
        let (proxy, noted) = noting().await;
        for (request, status) in [
            ("GET / HTTP/1.1\r\n", 400),
            ("GET / HTTP/1.1\r\nHost:\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nHost: evil.com\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a@web.shop.localhost\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: web.shop.localhost/x\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: web shop\r\n", 400),
            ("GET http://evil.com/ HTTP/1.1\r\nHost: web.shop.localhost\r\n", 421),
            ("CONNECT web.shop.localhost:80 HTTP/1.1\r\nHost: web.shop.localhost\r\n", 405),
            ("GET / HTTP/1.1\nHost: evil.com\n", 421),
            ("GET  / HTTP/1.1\r\nHost: web.shop.localhost\r\n", 400),
            ("GET / HTTP/9.9\r\nHost: web.shop.localhost\r\n", 400),
            ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n", 400),
        ] {
            let response = proxy.exchange(format!("{request}Connection: close\r\n\r\n")).await;
            let expected = format!("HTTP/1.1 {status}");
            assert!(response.starts_with(&expected), "{request:?}: {response}");
        }
        assert!(noted.borrow().is_empty(), "{noted:?}");
    });
}

#[test]
fn heads_are_limited() {
    run(async {
        let (proxy, noted) = noting().await;
        let many = "X: y\r\n".repeat(500);
        let long = format!("X: {}\r\n", "y".repeat(300 << 10));
        for headers in [&many, &long] {
            let response = proxy
                .exchange(format!("GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: close\r\n{headers}\r\n"))
                .await;
            assert!(!response.contains("200 OK"), "{} {response}", headers.len());
        }
        let response =
            proxy.get("web.shop.localhost", &format!("/{}", "y".repeat(300 << 10))).await;
        assert!(!response.contains("200 OK"), "{response}");
        let headers = format!("X: {}\r\n", "y".repeat(40 << 10));
        let response = proxy
            .exchange(format!(
                "GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: close\r\n{headers}\r\n"
            ))
            .await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert_eq!(noted.borrow().len(), 1);
    });
}

#[test]
fn a_service_that_lies_about_its_body_hurts_only_its_own_response() {
    run(async {
        let good = echo_server("api").await;
        for (response, passed) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nshort", Some("short")),
            // The client has got nothing yet.
            ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", None),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort", Some("short")),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Some("")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", Some("ok")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", None),
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", None),
            ("SSH-2.0-OpenSSH\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\nX", None),
            ("\r\n\r\n", None),
            ("", None),
        ] {
            let port = raw_server(response).await;
            let proxy = TestProxy::for_services(&[
                service("web", "ready", 1, port),
                service("api", "ready", 2, good),
            ])
            .await;
            let other = proxy.spawn_get("api.shop.localhost", "/");
            let found = proxy.get("web.shop.localhost", "/").await;
            match passed {
                // Not even the head was passed on before the lie.
                Some("") if found.is_empty() => {}
                Some(body) => {
                    assert!(found.starts_with("HTTP/1.1 200"), "{response:?}: {found}");
                    assert!(found.contains(body) && !found.contains("more"), "{found}");
                    let chunked = found.contains("chunked");
                    // The client sees that the body is not whole.
                    let whole =
                        found.ends_with(if chunked { "\r\n0\r\n\r\n" } else { "\r\n\r\nok" });
                    assert_eq!(whole, body == "ok", "{response:?}: {found}");
                }
                None => assert!(found.starts_with("HTTP/1.1 502"), "{response:?}: {found}"),
            }
            assert!(other.await.unwrap().starts_with("HTTP/1.1 200"));
        }
    });
}

#[test]
fn a_flood_of_response_headers_is_a_bad_gateway() {
    run(async {
        let port = serve_with(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
        })
        .await;
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, port)]).await;
        let response = proxy.get("web.shop.localhost", "/").await;
        assert!(response.starts_with("HTTP/1.1 502"), "{response}");
    });
}

#[test]
fn a_silent_client_is_closed_after_some_time() {
    run(async {
        let (_routes, receiver) = watch::channel(table(&[]));
        let mut proxy = Proxy::new(receiver, mpsc::unbounded_channel().0, HttpsConfig::new(None));
        proxy.head_time = Duration::from_millis(50);
        let proxy = Rc::new(proxy);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for sent in ["", "GET / HTTP/1.1\r\nHost: web.sh", "PRI * HTTP/2"] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(sent.as_bytes()).await.unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            spawn_local(proxy.clone().serve(stream, peer));
            assert_eq!(read_to_end(&mut client).await, "");
        }
    });
}

#[test]
fn idle_connections_do_not_disturb_others() {
    run(async {
        let (proxy, _) = noting().await;
        let mut idle = Vec::new();
        for number in 0..200 {
            let mut client = proxy.connect().await;
            if number % 2 == 0 {
                client.write_all(b"GET / HTTP/1.1\r\nHost: web").await.unwrap();
            }
            idle.push(client);
        }
        assert!(proxy.get("web.shop.localhost", "/").await.starts_with("HTTP/1.1 200"));
        idle[0].write_all(b".shop.localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(read_to_end(&mut idle[0]).await.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn other_machines_are_not_served() {
    run(async {
        let (proxy, _) = noting().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for (peer, served) in
            [("10.1.2.3:4", false), ("[fd00::1]:4", false), ("[::ffff:127.0.0.1]:4", true)]
        {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(get("web.shop.localhost", "/").as_bytes()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            spawn_local(proxy.proxy.clone().serve(stream, peer.parse().unwrap()));
            assert_eq!(read_to_end(&mut client).await.is_empty(), !served, "{peer}");
        }
    });
}
