//! HTTPS and HTTP/2.

use std::time::SystemTime;

use hyper::client::conn::http2;
use hyper::{HeaderMap, Method, StatusCode, Version};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};

use super::*;
use crate::https::{self, LocalCa, PermittedNames};
use crate::proxy::proxy_server::LocalExecutor;

/// A proxy with a CA, for one stack.
pub(super) struct TlsProxy {
    pub proxy: TestProxy,
    ca: LocalCa,
    dir: TempDir,
}

fn create_ca(dir: &TempDir) -> LocalCa {
    // A CA that is removed takes its directory along.
    std::fs::create_dir_all(dir.path()).unwrap();
    LocalCa::create(dir.path(), PermittedNames::localhost(), SystemTime::now()).unwrap()
}

impl TlsProxy {
    pub async fn new(stack: Value) -> TlsProxy {
        TlsProxy::impatient(stack, None).await
    }

    async fn impatient(stack: Value, head_time: Option<Duration>) -> TlsProxy {
        let dir = tempfile::tempdir().unwrap();
        let ca = create_ca(&dir);
        let https = HttpsConfig::new(Some(dir.path().to_owned()));
        let proxy = TestProxy::with_https(&[stack], https, head_time).await;
        TlsProxy { proxy, ca, dir }
    }

    /// Connects as a client that trusts the CA.
    pub async fn connect(
        &self,
        name: &str,
        protocol: &str,
    ) -> std::io::Result<impl AsyncRead + AsyncWrite + Unpin + 'static> {
        https::connect(self.proxy.connect().await, &self.ca, name, &[protocol]).await
    }

    /// Sends bytes over TLS and returns everything until the proxy closes the connection.
    async fn exchange(&self, name: &str, request: &str) -> String {
        let mut stream = self.connect(name, "http/1.1").await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut all = String::new();
        let _ = stream.read_to_string(&mut all).await;
        all
    }

    pub async fn http2(&self, name: &str) -> Http2Client {
        Http2Client::over(self.connect(name, "h2").await.unwrap()).await
    }
}

#[test]
fn a_name_given_to_trust_is_this_machine_on_front_ports_only() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let mut names = PermittedNames::localhost();
        names.add("shop.test").unwrap();
        let ca = LocalCa::create(dir.path(), names, SystemTime::now()).unwrap();
        let https = HttpsConfig::new(Some(dir.path().to_owned()));
        let web = echo_server("web").await;
        let stacks = [stack(&[service("web", "ready", 1, web)])];
        let proxy = TlsProxy { proxy: TestProxy::with_https(&stacks, https, None).await, ca, dir };
        let plain = |host: &'static str| proxy.proxy.get(host, "/");
        for host in ["shop.test", "a.shop.test", "evil.test"] {
            assert!(plain(host).await.starts_with("HTTP/1.1 421"), "{host}");
        }
        let front = proxy.proxy.address.port();
        let table = Arc::into_inner(table(&stacks)).unwrap();
        proxy.proxy.routes.send_replace(Arc::new(table.with_fronts([(front, "shop.localhost")])));
        for host in ["shop.test", "a.Shop.test:3000", "localhost"] {
            let response = plain(host).await;
            assert!(response.contains("web: GET /"), "{host}: {response}");
        }
        for host in ["evil.test", "shop.test.evil.com", "x.localhost"] {
            assert!(plain(host).await.starts_with("HTTP/1.1 421"), "{host}");
        }
        let request = "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";
        let response = proxy.exchange("shop.test", request).await;
        assert!(response.contains("web: GET /"), "{response}");
        // Without the CA it is a stranger's name again.
        LocalCa::remove(proxy.dir.path()).unwrap();
        assert!(plain("shop.test").await.starts_with("HTTP/1.1 421"));
    });
}

/// A client that speaks HTTP/2.
pub(super) struct Http2Client(http2::SendRequest<TestBody>);

impl Http2Client {
    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Http2Client {
        let handshake = http2::handshake(LocalExecutor, TokioIo::new(stream)).await;
        let (sender, connection) = handshake.unwrap();
        spawn_local(connection);
        Http2Client(sender)
    }

    async fn send(&self, request: Request<TestBody>) -> Response<Incoming> {
        self.0.clone().send_request(request).await.unwrap()
    }

    /// Returns the status and text of the response to a `GET`.
    pub async fn get(&self, url: &str) -> (StatusCode, String) {
        let mut request = Request::new(Full::default().boxed_unsync());
        *request.uri_mut() = url.parse().unwrap();
        let (head, body) = self.send(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, String::from_utf8_lossy(&body).into_owned())
    }
}

fn with_trailers(data: &'static str, name: &'static str, value: &'static str) -> TestBody {
    let trailers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
    Full::new(Bytes::from(data)).with_trailers(async { Some(Ok(trailers)) }).boxed_unsync()
}

/// A server that speaks HTTP/2 without TLS, answers as a gRPC server does, and repeats what it got.
async fn grpc_server() -> u16 {
    serve_with(|stream| async move {
        let service = service_fn(|request: Request<Incoming>| async {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap();
            let sum = body.trailers().and_then(|sent| sent.get("x-sum")).cloned();
            let te = head.headers.get("te").cloned();
            let text = format!(
                "{:?} {} {} te={te:?} sum={sum:?} {}",
                head.version,
                head.method,
                head.uri,
                String::from_utf8_lossy(&body.to_bytes())
            );
            let text = Bytes::from(text);
            let end = HeaderMap::from_iter([("grpc-status".parse().unwrap(), 0.into())]);
            let body = Full::new(text).with_trailers(async { Some(Ok::<_, Infallible>(end)) });
            Ok::<_, Infallible>(Response::new(body.boxed_unsync()))
        });
        let builder = hyper::server::conn::http2::Builder::new(LocalExecutor);
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    })
    .await
}

fn grpc_stack(port: u16) -> Value {
    let mut web = service("web", "ready", 1, port);
    web["proxy"]["http2"] = true.into();
    stack(&[web])
}

pub(super) async fn echo_stack() -> Value {
    stack(&[service("web", "ready", 1, echo_server("web").await)])
}

#[test]
fn http_and_https_share_a_port() {
    run(async {
        let tls = TlsProxy::new(echo_stack().await).await;
        let host = format!("web.shop.localhost:{}", tls.proxy.address.port());
        let plain = tls.proxy.get(&host, "/").await;
        assert!(plain.contains("x-forwarded-proto: http\n"), "{plain}");
        let text = tls.exchange("web.shop.localhost", &get(&host, "/a?b")).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("web: GET /a?b\n"), "{text}");
        assert!(text.contains("x-forwarded-proto: https\n"), "{text}");
        assert!(text.contains(&format!("x-forwarded-host: {host}\n")), "{text}");
    });
}

#[test]
fn http2_carries_many_requests_at_once() {
    run(async {
        let tls = TlsProxy::new(stack(&[service("web", "starting", 1, 1)])).await;
        let client = tls.http2("web.shop.localhost").await;
        let url = "https://web.shop.localhost:7780/path";
        let mut waiting: Vec<_> = (0..8).map(|_| Box::pin(client.get(url))).collect();
        let all = async {
            let mut answers = Vec::new();
            for request in &mut waiting {
                answers.push(request.await);
            }
            answers
        };
        let ready = async {
            tls.proxy.parked(1).await;
            tls.proxy.publish(&[service("web", "ready", 1, echo_server("web").await)]);
        };
        let (answers, ()) = tokio::join!(all, ready);
        for (status, text) in answers {
            assert_eq!(status, StatusCode::OK);
            assert!(text.starts_with("web: GET /path\n"), "{text}");
            assert!(text.contains("host: web.shop.localhost:7780\n"), "{text}");
            assert!(text.contains("x-forwarded-proto: https\n"), "{text}");
        }
    });
}

#[test]
fn split_cookies_are_joined_and_the_client_is_told_of_its_own_scheme() {
    run(async {
        let moved = server(|request| async move {
            assert_eq!(request.headers().get_all("cookie").iter().count(), 1);
            let mut response = text("");
            *response.status_mut() = StatusCode::FOUND;
            let port = request.headers()["x-port"].to_str().unwrap();
            let to = format!("http://127.0.0.1:{port}/next");
            response.headers_mut().insert("location", to.parse().unwrap());
            response.headers_mut().insert("x-cookie", request.headers()["cookie"].clone());
            response
        })
        .await;
        let tls = TlsProxy::new(stack(&[service("web", "ready", 1, moved)])).await;
        let client = tls.http2("web.shop.localhost").await;
        let mut request = Request::new(Full::default().boxed_unsync());
        *request.uri_mut() = "https://web.shop.localhost:7780/".parse().unwrap();
        let headers = request.headers_mut();
        headers.append("cookie", "a=1".parse().unwrap());
        headers.append("cookie", "b=2".parse().unwrap());
        headers.insert("x-port", moved.into());
        let response = client.send(request).await;
        assert_eq!(response.headers()["x-cookie"], "a=1; b=2");
        assert_eq!(response.headers()["location"], "https://web.shop.localhost:7780/next");
    });
}

#[test]
fn a_request_for_another_name_than_the_certificate_is_misdirected() {
    run(async {
        let services = [
            service("web", "ready", 1, echo_server("web").await),
            service("api", "ready", 2, echo_server("api").await),
        ];
        let tls = TlsProxy::new(stack(&services)).await;
        for host in ["api.shop.localhost", "shop.localhost", "evil.com", "localhost"] {
            let text = tls.exchange("web.shop.localhost", &get(host, "/")).await;
            assert!(text.starts_with("HTTP/1.1 421 "), "{host}: {text}");
        }
        let client = tls.http2("web.shop.localhost").await;
        let (status, _) = client.get("https://api.shop.localhost/").await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
        let (status, _) = client.get("https://WEB.shop.localhost/").await;
        assert_eq!(status, StatusCode::OK, "the connection is still good");
        // A name that no stack has gets a certificate, but no service.
        let text = tls.exchange("other.localhost", &get("other.localhost", "/")).await;
        assert!(text.starts_with("HTTP/1.1 421 "), "{text}");
        for refused in ["evil.com", "web.shop.localhost.evil.com", "127.0.0.1"] {
            assert!(tls.connect(refused, "h2").await.is_err(), "{refused}");
        }
    });
}

#[test]
fn a_web_socket_passes_over_tls() {
    run(async {
        let port = serve_with(|mut stream| async move {
            let head = read_until(&mut stream, "\r\n\r\n").await;
            assert!(head.contains("x-forwarded-proto: https\r\n"), "{head}");
            let response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                            Connection: Upgrade\r\n\r\n";
            stream.write_all(response.as_bytes()).await.unwrap();
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
        })
        .await;
        let tls = TlsProxy::new(stack(&[service("web", "ready", 1, port)])).await;
        let mut client = tls.connect("web.shop.localhost", "http/1.1").await.unwrap();
        let head = "GET / HTTP/1.1\r\nHost: web.shop.localhost\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\n\r\nearly";
        client.write_all(head.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        while !all.ends_with(b"\r\n\r\nearly") {
            all.push(client.read_u8().await.unwrap());
        }
        assert!(all.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&all));
        client.write_all(b"later").await.unwrap();
        let mut later = [0; 5];
        client.read_exact(&mut later).await.unwrap();
        assert_eq!(&later, b"later");
    });
}

#[test]
fn plain_requests_are_redirected_if_the_stack_wants_that() {
    run(async {
        let mut stack = echo_stack().await;
        stack["proxy"]["https"] = "required".into();
        let tls = TlsProxy::new(stack).await;
        let host = "web.shop.localhost:7780";
        let redirected = tls.proxy.get(host, "/a?b=c").await;
        assert!(redirected.starts_with("HTTP/1.1 307 "), "{redirected}");
        let location = "location: https://web.shop.localhost:7780/a?b=c\r\n";
        assert!(redirected.contains(location), "{redirected}");
        let text = tls.exchange("web.shop.localhost", &get(host, "/")).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        // Not to where nobody can go.
        LocalCa::remove(tls.dir.path()).unwrap();
        let plain = tls.proxy.get(host, "/").await;
        assert!(plain.starts_with("HTTP/1.1 200 "), "{plain}");
    });
}

#[test]
fn a_ca_that_comes_or_goes_is_noticed() {
    run(async {
        let tls = TlsProxy::new(echo_stack().await).await;
        let request = get("web.shop.localhost", "/");
        assert!(tls.exchange("web.shop.localhost", &request).await.contains("200 OK"));
        LocalCa::remove(tls.dir.path()).unwrap();
        // As any other bytes that are not HTTP.
        let refused = tls.proxy.exchange(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc").await;
        assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
        assert!(tls.connect("web.shop.localhost", "h2").await.is_err());
        let ca = create_ca(&tls.dir);
        let tls = TlsProxy { ca, ..tls };
        assert!(tls.exchange("web.shop.localhost", &request).await.contains("200 OK"));
    });
}

#[test]
fn a_client_that_does_not_go_on_is_closed_and_disturbs_nobody() {
    run(async {
        let time = Some(Duration::from_millis(200));
        let tls = TlsProxy::impatient(echo_stack().await, time).await;
        let mut silent = Vec::new();
        // Of a handshake, and of HTTP/2.
        for sent in [&b"\x16"[..], b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
        {
            let mut stream = tls.proxy.connect().await;
            stream.write_all(sent).await.unwrap();
            silent.push(stream);
        }
        let mut shaken = tls.connect("web.shop.localhost", "h2").await.unwrap();
        let answered = tls.proxy.get("web.shop.localhost", "/").await;
        assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
        let text = tls.exchange("web.shop.localhost", &get("web.shop.localhost", "/")).await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        for stream in &mut silent {
            read_to_end(stream).await;
        }
        let _ = shaken.read_to_end(&mut Vec::new()).await;
    });
}

#[test]
fn a_grpc_service_gets_http2_with_trailers() {
    run(async {
        let tls = TlsProxy::new(grpc_stack(grpc_server().await)).await;
        let over_tls = tls.http2("web.shop.localhost").await;
        let plain = Http2Client::over(tls.proxy.connect().await).await;
        for (client, scheme) in [(over_tls, "https"), (plain, "http")] {
            let mut request = Request::new(with_trailers("ping", "x-sum", "42"));
            *request.method_mut() = Method::POST;
            let url = format!("{scheme}://web.shop.localhost:7780/shop.Cart/Add");
            *request.uri_mut() = url.parse().unwrap();
            request.headers_mut().insert("te", "trailers".parse().unwrap());
            let response = client.send(request).await;
            assert_eq!(response.version(), Version::HTTP_2);
            let body = response.into_body().collect().await.unwrap();
            let status = body.trailers().and_then(|end| end.get("grpc-status")).cloned();
            assert_eq!(status.unwrap(), "0");
            let expected = "HTTP/2.0 POST http://web.shop.localhost:7780/shop.Cart/Add \
                            te=Some(\"trailers\") sum=Some(\"42\") ping";
            assert_eq!(String::from_utf8_lossy(&body.to_bytes()), expected);
        }
        // Clients that speak HTTP/1.1 reach it too.
        let text = tls.proxy.get("web.shop.localhost", "/").await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("HTTP/2.0 GET http://web.shop.localhost/ te=None"), "{text}");
    });
}

#[test]
fn a_new_run_of_a_grpc_service_gets_its_own_connection() {
    run(async {
        let tls = TlsProxy::new(grpc_stack(grpc_server().await)).await;
        let client = tls.http2("web.shop.localhost").await;
        let url = "https://web.shop.localhost:7780/";
        assert_eq!(client.get(url).await.0, StatusCode::OK);
        let mut next = service("web", "starting", 2, 1);
        next["proxy"]["http2"] = true.into();
        tls.proxy.publish(&[next.clone()]);
        let ready = async {
            tls.proxy.parked(1).await;
            next["phase"] = "ready".into();
            let port = grpc_server().await;
            (next["port"], next["ports"]) = (port.into(), json!({ "main": port }));
            tls.proxy.publish(&[next]);
        };
        let ((status, text), ()) = tokio::join!(client.get(url), ready);
        assert_eq!(status, StatusCode::OK, "{text}");
        // A server that speaks something else is a bad gateway, not a wait without end.
        tls.proxy.publish(&[{
            let mut broken = service("web", "ready", 3, echo_server("old").await);
            broken["proxy"]["http2"] = true.into();
            broken
        }]);
        let (status, text) = client.get(url).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{text}");
    });
}
