//! Which replica gets a request.

use super::*;

async fn named(name: &'static str) -> u16 {
    server(move |_| async move { text(name) }).await
}

/// The bodies of some requests, one after the other.
async fn answers(proxy: &TestProxy, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        let response = proxy.get("api.shop.localhost", "/").await;
        all.push(response.split_once("\r\n\r\n").unwrap().1.to_owned());
    }
    all
}

#[test]
fn replicas_take_turns() {
    run(async {
        let (one, two) = (named("one").await, named("two").await);
        for balance in ["round-robin", "least"] {
            let replicas = [replica(1, "ready", balance, one), replica(2, "ready", balance, two)];
            let proxy = TestProxy::for_services(&replicas).await;
            assert_eq!(answers(&proxy, 4).await, ["one", "two", "one", "two"], "{balance}");
            let named = proxy.get("api-2.shop.localhost", "/").await;
            assert!(named.ends_with("two"), "{named}");
        }
    });
}

#[test]
fn a_replica_that_is_not_ready_or_refuses_gets_nothing() {
    run(async {
        let two = named("two").await;
        for other in [
            replica(1, "starting", "least", 1),
            replica(1, "failed", "least", 1),
            replica(1, "ready", "round-robin", free_port().await),
        ] {
            let proxy = TestProxy::for_services(&[other, replica(2, "ready", "least", two)]).await;
            assert_eq!(answers(&proxy, 3).await, ["two", "two", "two"]);
        }
    });
}

#[test]
fn a_request_waits_if_no_replica_is_ready_and_one_may_be() {
    run(async {
        let two = named("two").await;
        let failed = replica(1, "failed", "least", 1);
        let proxy =
            TestProxy::for_services(&[failed.clone(), replica(2, "starting", "least", two)]).await;
        let waiting = proxy.spawn_get("api.shop.localhost", "/");
        proxy.parked(1).await;
        proxy.publish(&[failed, replica(2, "ready", "least", two)]);
        assert!(waiting.await.unwrap().ends_with("two"));
    });
}

#[test]
fn a_busy_replica_gets_fewer_requests() {
    run(async {
        let one = server(|_| std::future::pending()).await;
        let two = named("two").await;
        let replicas = [replica(1, "ready", "least", one), replica(2, "ready", "least", two)];
        let proxy = TestProxy::for_services(&replicas).await;
        let mut busy = proxy.connect().await;
        busy.write_all(get("api-1.shop.localhost", "/").as_bytes()).await.unwrap();
        // Until the request is in flight, both are equal; then `one` would hang.
        while proxy.proxy.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(answers(&proxy, 3).await, ["two", "two", "two"]);
        // A client that leaves is no longer counted.
        drop(busy);
        while proxy.proxy.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_client_stays_with_its_replica() {
    run(async {
        let (one, two) = (named("one").await, named("two").await);
        let both = [replica(1, "ready", "sticky", one), replica(2, "ready", "sticky", two)];
        let proxy = TestProxy::for_services(&both).await;
        let with_cookie = async |cookie: &str| {
            proxy
                .exchange(format!(
                    "GET / HTTP/1.1\r\nHost: api.shop.localhost\r\nCookie: a=b; {cookie}\r\n\
                     Connection: close\r\n\r\n"
                ))
                .await
        };
        let set = "set-cookie: devstack-replica=api-2; Path=/; HttpOnly; SameSite=Lax\r\n";
        for _ in 0..3 {
            let response = with_cookie("devstack-replica=api-2").await;
            assert!(response.ends_with("two") && !response.contains("set-cookie"), "{response}");
        }
        proxy.publish(&[both[1].clone(), replica(1, "starting", "sticky", one)]);
        let response = with_cookie("devstack-replica=api-1").await;
        assert!(response.ends_with("two") && response.contains(set), "{response}");
        let response = with_cookie("devstack-replica=api-7").await;
        assert!(response.contains(set), "{response}");
    });
}
