//! TLS for `https` probes.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Shakes hands with the server `host`. `insecure`: whatever its certificate says.
pub(super) async fn connect(
    stream: TcpStream,
    host: &str,
    insecure: bool,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(config(insecure).await?).connect(name, stream).await
}

/// Describes why there is no TLS connection.
pub(super) fn describe_error(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => {
            "got no TLS response: the port may speak http, not https".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("does not trust the certificate ({why}); accept any with `insecure = true`")
        }
        Some(other) => format!("failed in TLS: {other}"),
        None => format!("got no TLS response: {error}"),
    }
}

/// Returns the settings, made once on another thread: reading the certificates of the system takes
/// a while.
async fn config(insecure: bool) -> io::Result<Arc<ClientConfig>> {
    static CONFIGS: [OnceLock<Result<Arc<ClientConfig>, rustls::Error>>; 2] =
        [OnceLock::new(), OnceLock::new()];
    let made = &CONFIGS[usize::from(insecure)];
    let config = match made.get() {
        Some(config) => config.clone(),
        // The thread goes on if the probe times out, for the next one.
        None => tokio::task::spawn_blocking(move || {
            made.get_or_init(|| make_config(insecure).map(Arc::new)).clone()
        })
        .await
        .map_err(io::Error::other)?,
    };
    config.map_err(io::Error::other)
}

fn make_config(insecure: bool) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let mut config = match insecure {
        true => {
            let any = Arc::new(AnyCertificate(provider));
            builder.dangerous().with_custom_certificate_verifier(any).with_no_client_auth()
        }
        false => {
            let mut roots = RootCertStore::empty();
            // Without any, every certificate is refused, which is reported.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Accepts any certificate: a development server often signs its own.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
