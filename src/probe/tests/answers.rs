//! What HTTP probes say about the answers they get.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate for localhost that signs itself, and its key; valid until 2126.
const LOCALHOST: &[u8] = include_bytes!("localhost.pem");

/// A server that answers over TLS.
async fn tls_server() -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(LOCALHOST).unwrap()],
            PrivateKeyDer::from_pem_slice(LOCALHOST).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 X\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

fn scene(url: String, status: AcceptedStatus, insecure: bool, port: u16) -> ProbeFixture {
    let probe = Probe::Http { url, status, insecure, own_port: Some(port) };
    ProbeFixture::new(ListenerOwner::Ours(Vec::new()), vec![probe])
}

fn https(address: SocketAddr, insecure: bool) -> ProbeFixture {
    scene(format!("https://{address}/up"), AcceptedStatus::NoError, insecure, address.port())
}

#[tokio::test]
async fn the_certificate_of_an_https_server_counts_unless_it_is_insecure() {
    let address = tls_server().await;
    assert_eq!(https(address, true).held().await, "GET /up returned 204");
    let why = https(address, false).failing().await;
    assert!(why.starts_with("GET /up does not trust the certificate ("), "{why}");
    assert!(why.ends_with("accept any with `insecure = true`"), "{why}");
    let (plain, _) = server(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()).await;
    let why = https(plain, true).failing().await;
    assert_eq!(why, "GET /up got no TLS response: the port may speak http, not https");
}

#[tokio::test]
async fn listed_statuses_are_accepted_and_no_others() {
    let only = |list: &[u16]| AcceptedStatus::Only(list.to_vec());
    let (address, _) = server(b"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let ask = |status| scene(format!("http://{address}/"), status, false, address.port());
    assert_eq!(ask(only(&[200, 401])).held().await, "GET / returned 401");
    assert_eq!(ask(AcceptedStatus::Any).held().await, "GET / returned 401");
    let refused = "GET / returned 401; to accept it, add it to `status`";
    assert_eq!(ask(only(&[200])).failing().await, refused);
    assert_eq!(ask(AcceptedStatus::NoError).failing().await, refused);
    let (address, _) = server(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let ask = |status| scene(format!("http://{address}/"), status, false, address.port());
    assert_eq!(ask(only(&[401])).failing().await, "GET / returned 200");
}

#[tokio::test]
async fn silent_server_differs_from_no_server() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let port = address.port();
    let mut scene = ProbeFixture::new(ListenerOwner::NotListening, vec![http(address)]);
    assert_eq!(scene.failing().await, format!("nothing is listening on port {port} yet"));
    *scene.owner.lock().unwrap() = ListenerOwner::Ours(Vec::new());
    let silent =
        format!("port {port} accepts connections, but GET /health has got no response yet");
    assert_eq!(scene.failing().await, silent);
}
