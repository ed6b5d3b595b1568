use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::local_ca::LocalCa;

/// The first byte of a TLS connection: a record with a handshake. No HTTP request begins with it.
pub const HANDSHAKE_RECORD: u8 = 0x16;

/// Shakes hands with a client. Returns the connection and the name that the client asked for, in lower
/// case.
///
/// # Errors
/// The client asks for no name or one that the CA may not sign, does not trust the CA, or does not
/// speak TLS. Nothing limits how long it may take.
pub async fn accept<S>(
    stream: S,
    config: Arc<ServerConfig>,
) -> io::Result<(server::TlsStream<S>, String)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let name = stream.get_ref().1.server_name().map(str::to_ascii_lowercase);
    // There is no certificate for clients that name no server.
    let name = name.ok_or_else(|| io::Error::other("the client named no server"))?;
    Ok((stream, name))
}

/// Shakes hands as a client that trusts the CA and nothing else. `protocols`: what it speaks, best
/// first (ALPN).
///
/// # Errors
/// The server is not one of this CA, has another name, or speaks none of the protocols.
pub async fn connect<S>(
    stream: S,
    ca: &LocalCa,
    name: &str,
    protocols: &[&str],
) -> io::Result<client::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut roots = RootCertStore::empty();
    roots.add(ca.root().clone()).map_err(io::Error::other)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
