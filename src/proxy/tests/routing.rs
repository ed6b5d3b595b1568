//! Which service a name is for, and what it is told about it.

use super::*;

/// The first line of the status and of the body.
fn summary(response: &str) -> String {
    let status = response.lines().next().unwrap_or_default();
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    format!("{} {}", &status["HTTP/1.1 ".len()..], body.lines().next().unwrap_or_default())
}

#[test]
fn a_name_finds_its_service_from_the_right() {
    run(async {
        let (web, api, other) =
            (echo_server("web").await, echo_server("api").await, echo_server("other").await);
        let shop = stack(&[service("web", "ready", 1, web), service("api", "ready", 2, api)]);
        let mut worktree = stack(&[service("web", "ready", 1, other)]);
        worktree["proxy"]["domain"] = "fix.shop.localhost".into();
        let proxy = TestProxy::new(&[shop, worktree]).await;
        for (host, found) in [
            ("web.shop.localhost", "200 OK web: GET /"),
            ("api.shop.localhost:7780", "200 OK api: GET /"),
            ("API.Shop.localhost.", "200 OK api: GET /"),
            ("shop.localhost", "200 OK web: GET /"),
            ("tenant.api.shop.localhost", "200 OK api: GET /"),
            ("a.b.api.shop.localhost", "200 OK api: GET /"),
            ("fix.shop.localhost", "200 OK other: GET /"),
            ("web.fix.shop.localhost", "200 OK other: GET /"),
            ("x.shop.localhost", "404 Not Found error: no service has the name `x.shop.localhost`"),
            (
                "api.fix.shop.localhost",
                "404 Not Found error: no service has the name `api.fix.shop.localhost`",
            ),
        ] {
            assert_eq!(summary(&proxy.get(host, "/").await), found, "{host}");
        }
        let absolute = "GET http://api.shop.localhost/a?b HTTP/1.1\r\nHost: web.shop.localhost\r\n\
                        Connection: close\r\n\r\n";
        assert_eq!(summary(&proxy.exchange(absolute).await), "200 OK api: GET /a?b");
    });
}

#[test]
fn only_names_of_stacks_are_served() {
    run(async {
        let web = echo_server("web").await;
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, web)]).await;
        for host in [
            "evil.com",
            "localhost",
            "localhost:7780",
            "127.0.0.1",
            "[::1]:7780",
            "web.shop.localhost.evil.com",
            "xshop.localhost.com",
            "shop",
        ] {
            let response = proxy.get(host, "/").await;
            assert_eq!(summary(&response), "421 Misdirected Request error: unknown host", "{host}");
            assert!(!response.contains("shop.localhost"), "{response}");
        }
        let response = proxy.get("api.store.localhost", "/").await;
        let expected = "421 Misdirected Request error: no running stack has the name \
                        `api.store.localhost`";
        assert_eq!(summary(&response), expected);
        assert!(response.contains("available names: shop.localhost, web.shop.localhost\n"));
    });
}

#[test]
fn a_service_without_the_proxy_has_no_name() {
    run(async {
        let mut hidden = service("api", "ready", 1, echo_server("api").await);
        hidden["proxy"] = Value::Null;
        let proxy = TestProxy::for_services(&[hidden]).await;
        let response = proxy.get("api.shop.localhost", "/").await;
        assert!(response.starts_with("HTTP/1.1 404"), "{response}");
        assert!(response.contains("help: available services: none"), "{response}");
    });
}

#[test]
fn a_service_learns_how_the_request_came() {
    run(async {
        let web = echo_server("web").await;
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, web)]).await;
        let response = proxy
            .exchange(
                "GET /a HTTP/1.1\r\nHost: Web.shop.localhost:7780\r\nX-Forwarded-For: 6.6.6.6\r\n\
                 X-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\
                 X-Custom: kept\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
                 Connection: close, X-Named\r\nX-Named: gone\r\n\r\n",
            )
            .await;
        let body = response.split_once("\r\n\r\n").unwrap().1;
        let port = proxy.address.port();
        assert_eq!(
            body,
            format!(
                "web: GET /a\nhost: Web.shop.localhost:7780\nx-custom: kept\nx-forwarded-for: 127.0.0.1\n\
                 x-forwarded-host: Web.shop.localhost:7780\nx-forwarded-proto: http\n\
                 x-forwarded-port: {port}\nvia: 1.1 web.shop.localhost (devstack)\n\n"
            )
        );
    });
}

#[test]
fn a_service_gets_its_own_address_as_host_on_request() {
    run(async {
        let port = echo_server("web").await;
        let mut web = service("web", "ready", 1, port);
        web["proxy"]["host"] = "upstream".into();
        let proxy = TestProxy::for_services(&[web]).await;
        let response = proxy.get("web.shop.localhost", "/").await;
        assert!(response.contains(&format!("\nhost: 127.0.0.1:{port}\n")), "{response}");
        assert!(response.contains("\nx-forwarded-host: web.shop.localhost\n"), "{response}");
    });
}

#[test]
fn only_a_redirect_to_the_own_address_becomes_one_to_the_name() {
    run(async {
        let web = server(|request| async move {
            let to = request.uri().query().unwrap_or_default().to_owned();
            Response::builder()
                .status(302)
                .header("location", to)
                .body(Full::default().boxed_unsync())
                .unwrap()
        })
        .await;
        let proxy = TestProxy::for_services(&[service("web", "ready", 1, web)]).await;
        for (to, becomes) in [
            (format!("http://127.0.0.1:{web}/in?a"), "http://web.shop.localhost:7/in?a"),
            (format!("http://LOCALHOST:{web}"), "http://web.shop.localhost:7"),
            ("http://127.0.0.1:1/in".to_owned(), "http://127.0.0.1:1/in"),
            (format!("http://127.0.0.1.evil.com:{web}/"), ""),
            (format!("https://127.0.0.1:{web}/"), ""),
            ("/in".to_owned(), ""),
        ] {
            let response = proxy.get("web.shop.localhost:7", &format!("/?{to}")).await;
            let expected = if becomes.is_empty() { &to } else { becomes };
            assert!(response.contains(&format!("location: {expected}\r\n")), "{to}: {response}");
        }
    });
}

#[test]
fn a_request_that_comes_back_is_a_loop() {
    run(async {
        let web = echo_server("web").await;
        let api = echo_server("api").await;
        let proxy = TestProxy::for_services(&[
            service("web", "ready", 1, web),
            service("api", "ready", 2, api),
        ])
        .await;
        let via = |host| {
            format!(
                "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
                 Via: 1.0 x, 1.1 web.shop.localhost (devstack)\r\n\r\n"
            )
        };
        let looped = proxy.exchange(via("web.shop.localhost")).await;
        assert!(looped.starts_with("HTTP/1.1 508"), "{looped}");
        let chained = proxy.exchange(via("api.shop.localhost")).await;
        assert!(chained.starts_with("HTTP/1.1 200"), "{chained}");
        assert!(chained.contains("via: 1.1 api.shop.localhost (devstack)"), "{chained}");
    });
}

#[test]
fn a_service_is_reached_where_it_listens() {
    run(async {
        let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
        let port = listener.local_addr().unwrap().port();
        spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
            let answer = "HTTP/1.0 200 OK\r\n\r\nsix";
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let mut web = service("web", "ready", 1, port);
        web["listening"] = json!([format!("[::1]:{port}")]);
        let proxy = TestProxy::for_services(&[web]).await;
        assert!(proxy.get("web.shop.localhost", "/").await.contains("six"));
    });
}

#[test]
fn another_machine_reaches_open_services_and_learns_of_no_others() {
    run(async {
        let (web, api) = (echo_server("web").await, echo_server("api").await);
        let mut open = service("web", "ready", 1, web);
        let shut = service("api", "ready", 2, api);
        let mut failed = service("jobs", "failed", 3, web);
        failed["message"] = json!({ "class": "exit", "text": "exited with code 1",
            "help": "run `devstack why`", "detail": "password=1234" });
        let proxy = TestProxy::for_services(&[open.clone(), shut.clone()]).await;
        proxy.remote.send_replace(Some(([192, 168, 1, 9], 4000).into()));
        // As long as nothing is open, nobody is listened to.
        assert_eq!(proxy.get("web.shop.localhost", "/").await, "");

        for view in [&mut open, &mut failed] {
            view["host"] = "0.0.0.0".into();
        }
        let services = [open, shut, failed];
        proxy.publish(&services);
        let address = proxy.address.to_string();
        for (host, found) in [
            ("web.shop.localhost", "200 OK web: GET /"),
            ("shop.localhost", "200 OK web: GET /"),
            // A page that resolves its own name to this address (DNS rebinding).
            ("evil.com", "421 Misdirected Request error: unknown host"),
            (&address, "421 Misdirected Request error: unknown host"),
            ("192.168.1.9:7780", "421 Misdirected Request error: unknown host"),
            ("localhost", "421 Misdirected Request error: unknown host"),
            ("api.shop.localhost", "421 Misdirected Request error: unknown host"),
            ("x.shop.localhost", "421 Misdirected Request error: unknown host"),
            ("x.localhost", "421 Misdirected Request error: unknown host"),
            (
                "jobs.shop.localhost",
                "503 Service Unavailable error: jobs failed: exited with code 1",
            ),
        ] {
            let response = proxy.get(host, "/").await;
            assert_eq!(summary(&response), found, "{host}");
            let says = |word: &str| response.contains(word);
            assert!(
                !says("available names") && !says("devstack why") && !says("1234"),
                "{response}"
            );
        }
        let stacks = [stack(&services)];
        let with_network = |stacks: &[Value]| {
            let table = Arc::into_inner(table(stacks)).unwrap();
            Arc::new(table.with_network([(proxy.address, "shop.localhost")]))
        };
        proxy.routes.send_replace(with_network(&stacks));
        assert_eq!(summary(&proxy.get(&address, "/").await), "200 OK web: GET /");
        assert!(proxy.get("localhost", "/").await.starts_with("HTTP/1.1 421"));
        let mut closed = stacks;
        closed[0]["services"][0]["host"] = "127.0.0.1".into();
        proxy.routes.send_replace(with_network(&closed));
        assert!(proxy.get(&address, "/").await.starts_with("HTTP/1.1 421"));
        // This machine itself gets everything, but not by an address.
        proxy.remote.send_replace(None);
        assert_eq!(summary(&proxy.get("api.shop.localhost", "/").await), "200 OK api: GET /");
        assert!(proxy.get(&address, "/").await.starts_with("HTTP/1.1 421"));
    });
}
