//! What is recorded of the exchanges with real servers.

use super::*;
use crate::proxy::{ExchangeEnd, ExchangeRecord, ExchangeRing};

const HOST: &str = "web.shop.localhost";

/// The stack `shop`, whose exchanges are recorded with this much of each body.
fn recorded(services: &[Value], bodies: usize) -> Value {
    let mut stack = stack(services);
    stack["proxy"]["requests"] = true.into();
    stack["proxy"]["bodies"] = bodies.into();
    stack
}

async fn in_front_of(port: u16, bodies: usize) -> TestProxy {
    TestProxy::new(&[recorded(&[service("web", "ready", 3, port)], bodies)]).await
}

fn ring(proxy: &TestProxy) -> Rc<ExchangeRing> {
    proxy.proxy.exchanges("shop.localhost").expect("recorded")
}

fn read(ring: &ExchangeRing, id: u64) -> ExchangeRecord {
    ring.read(id, ExchangeRecord::clone).expect("kept")
}

/// Returns the next exchange that ends after `act` has begun.
async fn next<T>(proxy: &TestProxy, act: impl Future<Output = T>) -> (ExchangeRecord, T) {
    let ring = ring(proxy);
    let mut ended = ring.follow();
    let result = act.await;
    let id = ended.recv().await.unwrap();
    (read(&ring, id), result)
}

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /a?b=c HTTP/1.1\r\nHost: {HOST}\r\nCookie: s=1\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn an_exchange_is_recorded_with_heads_and_bodies() {
    run(async {
        let proxy = in_front_of(echo_server("web").await, 1 << 10).await;
        let (record, response) = next(&proxy, proxy.exchange(post("hello"))).await;
        assert_eq!((record.id, record.service.as_str()), (1, "web"));
        assert_eq!(record.replica.as_ref().map(|name| name.as_str()), Some("web"));
        assert_eq!(record.run, Some(crate::model::RunId(3)));
        assert_eq!((record.method.as_str(), record.target.as_str()), ("POST", "/a?b=c"));
        assert_eq!((record.host.as_str(), record.version.as_str()), (HOST, "HTTP/1.1"));
        assert_eq!((record.status, record.end), (Some(200), Some(ExchangeEnd::Done)));
        // As the client sent it: what the proxy adds is not in it.
        assert_eq!(record.request.header("cookie"), Some("s=1"));
        assert_eq!(record.request.header("via"), None);
        assert_eq!((record.request.text(), record.request.whole), (Some("hello"), true));
        let answer = record.response.as_ref().unwrap();
        assert!(response.ends_with(answer.text().unwrap()), "{response}");
        assert_eq!((answer.whole, answer.bytes), (true, answer.body.len() as u64));
        assert!(record.total_ms >= record.first_byte_ms && record.first_byte_ms > Some(0.0));
        assert_eq!(record.parked_ms, 0.0);
        assert_eq!(next(&proxy, proxy.get(HOST, "/")).await.0.id, 2);
    });
}

#[test]
fn only_the_beginning_of_large_bodies_is_kept() {
    const SIZE: usize = 64 << 20;
    run(async {
        let port = server(|request| async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            text(Bytes::from(vec![b'y'; SIZE]))
        })
        .await;
        let proxy = in_front_of(port, 10).await;
        let head = format!(
            "PUT / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: {SIZE}\r\n\r\n"
        );
        let transfer = async {
            let mut stream = proxy.connect().await;
            stream.write_all(head.as_bytes()).await.unwrap();
            let part = vec![b'x'; 1 << 20];
            for _ in 0..SIZE / part.len() {
                stream.write_all(&part).await.unwrap();
            }
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap()
        };
        let (record, received) = next(&proxy, transfer).await;
        assert!(received > SIZE as u64);
        for (message, byte) in [(&record.request, b'x'), (record.response.as_ref().unwrap(), b'y')]
        {
            assert_eq!((message.bytes, message.whole), (SIZE as u64, false));
            assert_eq!(message.body, [byte; 10]);
        }
        assert!(record.size() < 4096, "{}", record.size());
    });
}

#[test]
fn without_bodies_only_heads_are_kept() {
    run(async {
        let proxy = in_front_of(echo_server("web").await, 0).await;
        let (record, _) = next(&proxy, proxy.exchange(post("hello"))).await;
        let answer = record.response.unwrap();
        assert_eq!((record.request.body.len(), record.request.bytes), (0, 5));
        assert!(!record.request.whole && answer.body.is_empty() && answer.bytes > 0);
        // A body that does not exist is whole.
        let (record, _) = next(&proxy, proxy.get(HOST, "/")).await;
        assert!(record.request.whole);
    });
}

#[test]
fn the_wait_and_the_run_that_answers_are_recorded() {
    run(async {
        let port = echo_server("web").await;
        let web = |phase, run| recorded(&[service("web", phase, run, port)], 0);
        let proxy = TestProxy::new(&[web("starting", 1)]).await;
        let ring = ring(&proxy);
        let mut ended = ring.follow();
        let response = proxy.spawn_get(HOST, "/");
        proxy.parked(1).await;
        let open = read(&ring, 1);
        assert_eq!((open.end, open.status, open.run), (None, None, None));
        proxy.routes.send_replace(table(&[web("ready", 2)]));
        response.await.unwrap();
        let record = read(&ring, ended.recv().await.unwrap());
        assert_eq!(record.run, Some(crate::model::RunId(2)));
        assert!(record.parked_ms > 0.0 && record.first_byte_ms >= Some(record.parked_ms));
    });
}

#[test]
fn answers_of_the_proxy_are_recorded_with_the_reason() {
    run(async {
        let proxy = TestProxy::new(&[recorded(&[service("web", "idle", 1, 1)], 1 << 10)]).await;
        let (record, response) = next(&proxy, proxy.get(HOST, "/")).await;
        assert_eq!((record.status, record.end), (Some(503), Some(ExchangeEnd::Refused)));
        assert_eq!(record.error.as_deref(), Some("web is not running"));
        assert_eq!((record.replica, record.run), (None, None));
        assert!(response.ends_with(record.response.unwrap().text().unwrap()), "{response}");
        // These are requests to no service.
        proxy.get("other.shop.localhost", "/").await;
        proxy.get("example.com", "/").await;
        assert_eq!(ring(&proxy).ids(), 1..=1);
    });
}

#[test]
fn a_client_that_leaves_and_a_service_that_breaks_are_told_apart() {
    run(async {
        let silent = serve_with(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            read_to_end(&mut stream).await;
        });
        let proxy = in_front_of(silent.await, 0).await;
        let leave = async {
            let mut stream = proxy.connect().await;
            stream.write_all(get(HOST, "/").as_bytes()).await.unwrap();
            while proxy.proxy.in_flight() == 0 {
                tokio::task::yield_now().await;
            }
        };
        let (record, ()) = next(&proxy, leave).await;
        assert_eq!((record.status, record.end), (None, Some(ExchangeEnd::ClientLeft)));

        let half = "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nhalf";
        let proxy = in_front_of(raw_server(half).await, 100).await;
        let (record, _) = next(&proxy, proxy.get(HOST, "/")).await;
        assert_eq!((record.status, record.end), (Some(200), Some(ExchangeEnd::Broken)));
        let response = record.response.unwrap();
        assert_eq!((response.text(), response.whole), (Some("half"), false));
        assert!(record.error.is_some());
    });
}

#[test]
fn of_an_upgrade_the_handshake_and_byte_counts_are_recorded() {
    run(async {
        let echo = serve_with(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi";
            stream.write_all(switch).await.unwrap();
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
        });
        let proxy = in_front_of(echo.await, 1 << 10).await;
        let ring = ring(&proxy);
        let mut ended = ring.follow();
        let mut client = proxy.connect().await;
        let head = format!(
            "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        read_until(&mut client, "hi").await;
        client.write_all(b"hello").await.unwrap();
        read_until(&mut client, "hello").await;
        let open = read(&ring, 1);
        assert_eq!((open.status, open.end, open.request.bytes), (Some(101), None, 5));
        assert_eq!(open.upgrade.as_deref(), Some("websocket"));
        client.shutdown().await.unwrap();
        let record = read(&ring, ended.recv().await.unwrap());
        let response = record.response.unwrap();
        assert_eq!(
            (record.end, record.request.bytes, response.bytes),
            (Some(ExchangeEnd::Done), 5, 7)
        );
        assert!(record.request.body.is_empty() && response.body.is_empty());
    });
}

#[test]
fn nothing_is_recorded_where_that_is_off_and_kept_of_stacks_that_are_gone() {
    run(async {
        let port = echo_server("web").await;
        let ready = [service("web", "ready", 1, port)];
        let proxy = TestProxy::for_services(&ready).await;
        proxy.get(HOST, "/").await;
        assert!(proxy.proxy.exchanges("shop.localhost").is_none());
        assert!(proxy.proxy.exchanges("other.localhost").is_none());

        proxy.routes.send_replace(table(&[recorded(&ready, 0)]));
        proxy.get(HOST, "/").await;
        let mut ended = {
            let ring = ring(&proxy);
            assert_eq!(ring.ids(), 1..=1);
            ring.follow()
        };
        assert!(ended.try_recv().is_err());
        proxy.routes.send_replace(table(&[]));
        // Readers learn that the stack is gone.
        let gone = ended.recv().await;
        assert_eq!(gone, Err(tokio::sync::broadcast::error::RecvError::Closed));
        proxy.routes.send_replace(table(&[recorded(&ready, 0)]));
        assert!(ring(&proxy).ids().is_empty());
    });
}
