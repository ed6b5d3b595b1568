//! What waits, until when, and what is sent again.

use std::cell::Cell;

use super::*;

#[test]
fn a_request_waits_until_its_service_is_ready() {
    run(async {
        let web = echo_server("web").await;
        let proxy = TestProxy::for_services(&[service("web", "waiting", 0, web)]).await;
        let mut waiting = proxy.spawn_get("web.shop.localhost", "/");
        proxy.parked(1).await;
        for phase in ["starting", "backoff", "stopping"] {
            proxy.publish(&[service("web", phase, 1, web)]);
            tokio::task::yield_now().await;
            proxy.parked(1).await;
            assert!(timeout(Duration::ZERO, &mut waiting).await.is_err(), "{phase}");
        }
        proxy.publish(&[service("web", "ready", 1, web)]);
        assert!(waiting.await.unwrap().starts_with("HTTP/1.1 200"));
        proxy.parked(0).await;
    });
}

#[test]
fn a_service_that_is_asleep_is_woken_once_for_all_who_wait() {
    run(async {
        let web = echo_server("web").await;
        let asleep = |since: &str| {
            let mut view = service("web", "asleep", 0, web);
            view["since"] = since.into();
            [view]
        };
        let mut proxy = TestProxy::for_services(&asleep("1")).await;
        let mut waiting = Vec::new();
        for count in 1..=8 {
            waiting.push(proxy.spawn_get("web.shop.localhost", "/"));
            proxy.parked(count).await;
        }
        let woken = proxy.wakes.recv().await.unwrap();
        assert_eq!((woken.supervisor, woken.service.as_str()), (1, "web"));
        proxy.publish(&[service("web", "starting", 1, web)]);
        proxy.publish(&[service("web", "ready", 1, web)]);
        for waiting in waiting {
            assert!(waiting.await.unwrap().starts_with("HTTP/1.1 200"));
        }
        assert!(proxy.wakes.try_recv().is_err(), "once");

        // The next sleep is another one, even if nothing was seen between them.
        proxy.publish(&asleep("2"));
        let waiting = proxy.spawn_get("web.shop.localhost", "/");
        assert_eq!(proxy.wakes.recv().await.unwrap().since, "2");
        proxy.publish(&asleep("3"));
        assert_eq!(proxy.wakes.recv().await.unwrap().since, "3");
        proxy.publish(&[service("web", "failed", 2, web)]);
        assert!(waiting.await.unwrap().contains("error: web failed: failed cause"));
    });
}

#[test]
fn a_group_with_a_replica_that_is_ready_wakes_nobody() {
    run(async {
        let api = echo_server("api").await;
        let mut proxy = TestProxy::for_services(&[
            replica(1, "asleep", "least", 1),
            replica(2, "ready", "least", api),
        ])
        .await;
        assert!(proxy.get("api.shop.localhost", "/").await.starts_with("HTTP/1.1 200"));
        assert!(proxy.wakes.try_recv().is_err());
        let waiting = proxy.spawn_get("api-1.shop.localhost", "/");
        assert_eq!(proxy.wakes.recv().await.unwrap().service.as_str(), "api-1");
        waiting.abort();
    });
}

#[test]
fn a_service_that_is_unhealthy_gets_requests() {
    run(async {
        let web = echo_server("web").await;
        let proxy = TestProxy::for_services(&[service("web", "unhealthy", 1, web)]).await;
        assert!(proxy.get("web.shop.localhost", "/").await.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn a_service_that_will_not_start_is_reported_at_once() {
    run(async {
        let proxy = TestProxy::for_services(&[]).await;
        for (phase, text) in [
            ("failed", "error: web failed: failed cause"),
            ("blocked", "error: web cannot start: blocked cause"),
            ("idle", "error: web is not running"),
            ("done", "error: web is no longer running: done cause"),
        ] {
            proxy.publish(&[service("web", phase, 1, 1)]);
            let response = proxy.get("web.shop.localhost", "/").await;
            assert!(response.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{response}");
            assert!(response.contains("retry-after: 2\r\n"), "{response}");
            assert!(response.contains(text), "{response}");
            assert!(response.contains(" web` in /srv/shop\n"), "{response}");
        }
    });
}

#[test]
fn a_client_that_is_still_sending_gets_the_refusal() {
    run(async {
        let proxy = TestProxy::for_services(&[service("web", "failed", 1, 1)]).await;
        let head = "POST / HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: close\r\n";
        let upload = format!("{head}Content-Length: 3000000\r\n\r\n{}", "x".repeat(3_000_000));
        let response = proxy.exchange(upload).await;
        assert!(response.contains("error: web failed"), "{response}");
    });
}

#[test]
fn a_failure_is_text_json_or_a_page() {
    run(async {
        let mut web = service("web", "failed", 1, 1);
        web["message"] = json!({
            "class": "exit", "text": "exited with <1>", "help": "fix it", "detail": "last line",
        });
        let proxy = TestProxy::for_services(&[web]).await;
        let ask = async |accept| {
            proxy
                .exchange(format!(
                    "GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nAccept: {accept}\r\n\
                     Connection: close\r\n\r\n"
                ))
                .await
        };
        let text = ask("*/*").await;
        assert!(text.contains("content-type: text/plain"), "{text}");
        let body = "\r\n\r\nerror: web failed: exited with <1>\n  help: fix it\nlast line\n";
        assert!(text.ends_with(body), "{text}");
        let json = ask("application/json").await;
        let body: Value = serde_json::from_str(json.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["error"]["class"], "exit");
        assert_eq!(body["error"]["text"], "web failed: exited with <1>");
        let html = ask("text/html").await;
        assert!(html.contains("<h1>web failed: exited with &lt;1&gt;</h1>"), "{html}");
        assert!(html.contains("content-security-policy: default-src 'none'"), "{html}");
        let head = proxy
            .exchange("HEAD / HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: close\r\n\r\n")
            .await;
        assert!(head.contains("devstack-error: exit\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    });
}

#[test]
fn a_waiting_request_learns_that_it_waits_in_vain() {
    run(async {
        let proxy = TestProxy::for_services(&[service("web", "starting", 1, 1)]).await;
        let waiting = proxy.spawn_get("web.shop.localhost", "/");
        proxy.parked(1).await;
        proxy.publish(&[service("web", "failed", 1, 1)]);
        assert!(waiting.await.unwrap().contains("error: web failed"));

        proxy.publish(&[service("web", "starting", 2, 1)]);
        let waiting = proxy.spawn_get("web.shop.localhost", "/");
        proxy.parked(1).await;
        let mut ending = stack(&[service("web", "stopping", 2, 1)]);
        ending["state"] = "stopping".into();
        proxy.routes.send_replace(table(&[ending]));
        assert!(waiting.await.unwrap().contains("error: the stack shop is stopping"));

        proxy.publish(&[service("web", "starting", 3, 1)]);
        let waiting = proxy.spawn_get("web.shop.localhost", "/");
        proxy.parked(1).await;
        proxy.routes.send_replace(table(&[]));
        let response = waiting.await.unwrap();
        assert!(response.starts_with("HTTP/1.1 503"), "{response}");
        assert!(response.contains("web.shop.localhost is no longer running"), "{response}");
    });
}

#[test]
fn nothing_waits_longer_than_allowed() {
    run(async {
        let mut shop = stack(&[service("web", "starting", 1, 1)]);
        shop["proxy"]["wait_ms"] = 1.into();
        let proxy = TestProxy::new(&[shop]).await;
        let response = proxy.get("web.shop.localhost", "/").await;
        assert!(response.starts_with("HTTP/1.1 503"), "{response}");
        assert!(response.contains("web is not ready after 1ms: starting cause"), "{response}");

        let mut shop = stack(&[service("web", "ready", 1, free_port().await)]);
        shop["proxy"]["wait_ms"] = 50.into();
        proxy.routes.send_replace(table(&[shop]));
        let response = proxy.get("web.shop.localhost", "/").await;
        assert!(response.starts_with("HTTP/1.1 503"), "{response}");
        assert!(response.contains("web is not ready after 50ms: Connection refused"), "{response}");
    });
}

#[test]
fn no_more_requests_wait_than_allowed() {
    run(async {
        let web = echo_server("web").await;
        let proxy = TestProxy::for_services(&[service("web", "starting", 1, web)]).await;
        let waiting: Vec<_> = (0..8).map(|_| proxy.spawn_get("web.shop.localhost", "/")).collect();
        proxy.parked(8).await;
        let refused = proxy.get("web.shop.localhost", "/").await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        assert!(refused.contains("8 requests already wait for web"), "{refused}");
        proxy.publish(&[service("web", "ready", 1, web)]);
        for response in waiting {
            assert!(response.await.unwrap().starts_with("HTTP/1.1 200"));
        }
    });
}

#[test]
fn a_client_that_leaves_makes_room() {
    run(async {
        let proxy = TestProxy::for_services(&[service("web", "starting", 1, 1)]).await;
        let mut client = proxy.connect().await;
        client.write_all(get("web.shop.localhost", "/").as_bytes()).await.unwrap();
        proxy.parked(1).await;
        drop(client);
        proxy.parked(0).await;
        // Also if it has sent a body that nobody has read.
        let mut client = proxy.connect().await;
        let upload =
            "POST / HTTP/1.1\r\nHost: web.shop.localhost\r\nContent-Length: 9\r\n\r\n12345";
        client.write_all(upload.as_bytes()).await.unwrap();
        proxy.parked(1).await;
        drop(client);
        proxy.parked(0).await;
    });
}

#[test]
fn the_body_is_not_read_before_the_service_is_ready() {
    run(async {
        let web = echo_server("web").await;
        let proxy = TestProxy::for_services(&[service("web", "starting", 1, web)]).await;
        let mut client = proxy.connect().await;
        let head = "POST / HTTP/1.1\r\nHost: web.shop.localhost\r\nContent-Length: 5\r\n\
                    Expect: 100-continue\r\nConnection: close\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        proxy.parked(1).await;
        assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        proxy.publish(&[service("web", "ready", 1, web)]);
        read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
        client.write_all(b"hello").await.unwrap();
        assert!(read_to_end(&mut client).await.ends_with("\n\nhello"));
    });
}

#[test]
fn a_refused_connection_means_that_the_routes_are_late() {
    run(async {
        let gone = free_port().await;
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, gone)]).await;
        let upload = "POST / HTTP/1.1\r\nHost: web.shop.localhost\r\nContent-Length: 5\r\n\
                      Connection: close\r\n\r\nhello";
        let mut client = proxy.connect().await;
        client.write_all(upload.as_bytes()).await.unwrap();
        proxy.parked(1).await;
        let web = echo_server("web").await;
        proxy.publish(&[service("web", "ready", 2, web)]);
        let response = read_to_end(&mut client).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert!(response.ends_with("\n\nhello"), "{response}");
    });
}

#[test]
fn without_new_routes_a_refused_request_is_tried_again() {
    run(async {
        let port = free_port().await;
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, port)]).await;
        let waiting = proxy.spawn_get("web.shop.localhost", "/");
        proxy.parked(1).await;
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup").await.unwrap();
        assert!(waiting.await.unwrap().ends_with("\r\n\r\nup"));
    });
}

/// A server that closes the first `deaths` connections after it has read a head, and counts heads.
async fn dying_server(deaths: usize) -> (u16, Rc<Cell<usize>>) {
    let heads = Rc::new(Cell::new(0));
    let counted = heads.clone();
    let port = serve_with(move |mut stream| {
        let counted = counted.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            counted.set(counted.get() + 1);
            if counted.get() > deaths {
                let response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalive";
                stream.write_all(response).await.unwrap();
            }
        }
    })
    .await;
    (port, heads)
}

#[test]
fn only_what_may_be_repeated_is_sent_again() {
    run(async {
        let host = "Host: web.shop.localhost\r\nConnection: close\r\n";
        for (request, deaths, sent, status) in [
            (format!("GET / HTTP/1.1\r\n{host}\r\n"), 1, 2, "200"),
            // It may be the request that ends the service.
            (format!("GET / HTTP/1.1\r\n{host}\r\n"), 9, 2, "502"),
            (format!("DELETE / HTTP/1.1\r\n{host}\r\n"), 1, 2, "200"),
            (format!("POST / HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n"), 1, 1, "502"),
            (format!("POST / HTTP/1.1\r\n{host}Content-Length: 2\r\n\r\nhi"), 1, 1, "502"),
            (format!("PUT / HTTP/1.1\r\n{host}Content-Length: 2\r\n\r\nhi"), 1, 1, "502"),
            // Nothing of the body has arrived.
            (format!("POST / HTTP/1.1\r\n{host}Content-Length: 2\r\n\r\n"), 1, 2, "200"),
        ] {
            let (port, heads) = dying_server(deaths).await;
            let proxy = TestProxy::for_services(&[service("web", "ready", 1, port)]).await;
            let response = proxy.exchange(&request).await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {response}");
            assert_eq!(heads.get(), sent, "{request}");
        }
    });
}

/// As after many saves in a row: each run is stopped before it has answered.
#[test]
fn runs_that_are_stopped_lose_no_request_and_crashes_count() {
    run(async {
        for (phase, sent, status) in [("stopping", 6, "200"), ("backoff", 2, "502")] {
            let (port, heads) = dying_server(5).await;
            let proxy = TestProxy::for_services(&[service("web", "ready", 1, port)]).await;
            let waiting = proxy.spawn_get("web.shop.localhost", "/");
            for run in 1..sent {
                while heads.get() < run {
                    tokio::task::yield_now().await;
                }
                proxy.publish(&[service("web", phase, run as u64, port)]);
                proxy.parked(1).await;
                proxy.publish(&[service("web", "ready", run as u64 + 1, port)]);
            }
            if phase == "backoff" {
                while heads.get() < sent {
                    tokio::task::yield_now().await;
                }
                proxy.publish(&[service("web", phase, sent as u64, port)]);
            }
            let response = waiting.await.unwrap();
            assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{phase}: {response}");
            assert_eq!(heads.get(), sent, "{phase}");
        }
    });
}

#[test]
fn after_a_new_run_is_ready_the_old_one_gets_nothing() {
    run(async {
        // Both keep their connections, so that only the routes decide.
        let (old, new) = (echo_server("old").await, echo_server("new").await);
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, old)]).await;
        let request = "GET / HTTP/1.1\r\nHost: web.shop.localhost\r\n\r\n";
        let mut client = proxy.connect().await;
        client.write_all(request.as_bytes()).await.unwrap();
        assert!(read_until(&mut client, "\n\n").await.contains("\r\n\r\nold: GET /"));
        proxy.publish(&[service("web", "ready", 2, new)]);
        client.write_all(request.as_bytes()).await.unwrap();
        assert!(read_until(&mut client, "\n\n").await.contains("\r\n\r\nnew: GET /"));
    });
}

#[test]
fn idle_connections_to_a_run_that_stops_are_closed() {
    run(async {
        let (closed, mut is_closed) = watch::channel(false);
        let closed = Rc::new(closed);
        let port = serve_with(move |mut stream| {
            let closed = closed.clone();
            async move {
                read_until(&mut stream, "\r\n\r\n").await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                read_to_end(&mut stream).await;
                closed.send_replace(true);
            }
        })
        .await;
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, port)]).await;
        proxy.get("web.shop.localhost", "/").await;
        proxy.publish(&[service("web", "stopping", 1, port)]);
        is_closed.wait_for(|closed| *closed).await.unwrap();
    });
}

#[test]
fn without_a_sender_of_routes_the_proxy_closes() {
    run(async {
        let TestProxy { proxy, address, routes, .. } =
            TestProxy::for_services(&[service("web", "starting", 1, 1)]).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut waiting = TcpStream::connect(address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: web.shop.localhost\r\n\r\n";
        waiting.write_all(request.as_bytes()).await.unwrap();
        while proxy.parked() == 0 {
            tokio::task::yield_now().await;
        }
        drop(routes);
        assert_eq!(read_to_end(&mut idle).await, "");
        let response = read_to_end(&mut waiting).await;
        assert!(response.contains("error: the proxy is stopping"), "{response}");
    });
}

/// A server that begins `count` responses and ends each connection within the body, after the test
/// has been told. Later ones are whole.
async fn cutting_server(count: usize) -> (u16, mpsc::UnboundedReceiver<usize>) {
    let (tell, told) = mpsc::unbounded_channel();
    let number = Rc::new(Cell::new(0));
    let port = serve_with(move |mut stream| {
        let (tell, number) = (tell.clone(), number.clone());
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            number.set(number.get() + 1);
            let body = if number.get() > count { "whole!" } else { "who" };
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            let _ = tell.send(number.get());
        }
    })
    .await;
    (port, told)
}

#[test]
fn a_short_response_that_the_end_of_a_run_cuts_off_comes_from_the_next_run() {
    run(async {
        let (port, mut told) = cutting_server(3).await;
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, port)]).await;
        let waiting = proxy.spawn_get("web.shop.localhost", "/");
        for run in 1..=3 {
            assert_eq!(told.recv().await, Some(run));
            proxy.publish(&[service("web", "backoff", run as u64, port)]);
            proxy.parked(1).await;
            proxy.publish(&[service("web", "ready", run as u64 + 1, port)]);
        }
        let response = waiting.await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert!(response.ends_with("\r\n\r\nwhole!"), "{response}");
    });
}

#[test]
fn a_response_that_is_always_cut_off_is_not_asked_for_without_end() {
    run(async {
        let (port, mut told) = cutting_server(usize::MAX).await;
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, port)]).await;
        let waiting = proxy.spawn_get("web.shop.localhost", "/");
        let mut asked = 0;
        while let Some(Some(number)) = until(&waiting, told.recv()).await {
            asked = number;
            proxy.publish(&[service("web", "ready", number as u64 + 1, port)]);
        }
        assert_eq!(asked, 9);
        let response = waiting.await.unwrap();
        assert!(response.starts_with("HTTP/1.1 502"), "{response}");

        // Nobody may send this one again, and the run goes on.
        let post = "POST / HTTP/1.1\r\nHost: web.shop.localhost\r\nContent-Length: 0\r\n\
                    Connection: close\r\n\r\n";
        for request in [post.to_owned(), get("web.shop.localhost", "/")] {
            let response = proxy.exchange(request).await;
            assert!(response.starts_with("HTTP/1.1 502"), "{response}");
            told.recv().await;
            assert!(told.try_recv().is_err());
        }
    });
}

/// Returns what a future returns, or `None` if the request ends first.
async fn until<T>(
    waiting: &tokio::task::JoinHandle<String>,
    next: impl Future<Output = T>,
) -> Option<T> {
    let ended = async {
        while !waiting.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        next = next => Some(next),
        () = ended => None,
    }
}

#[test]
fn bodies_that_are_not_complete_are_passed_on_as_they_come() {
    run(async {
        for head in [
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "Content-Length: 20000\r\n\r\nhalf",
            "Content-Length: 8\r\n\r\nhalf",
        ] {
            let port = serve_with(move |mut stream| async move {
                read_until(&mut stream, "\r\n\r\n").await;
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).await.unwrap();
                // Until the client leaves.
                read_to_end(&mut stream).await;
            })
            .await;
            let proxy = TestProxy::for_services(&[service("web", "ready", 1, port)]).await;
            let mut client = proxy.connect().await;
            client.write_all(get("web.shop.localhost", "/").as_bytes()).await.unwrap();
            assert!(read_until(&mut client, "half").await.starts_with("HTTP/1.1 200"));
        }
    });
}
