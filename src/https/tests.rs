//! Real handshakes.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::{HttpsConfig, LocalCa, PermittedNames, accept, connect};

fn create_ca(dir: &Path) -> LocalCa {
    LocalCa::create(dir, PermittedNames::localhost(), SystemTime::now()).unwrap()
}

/// What both sides know after a handshake: the name, and what the client got of the server's choice of
/// a protocol.
type Agreed = (String, Option<Vec<u8>>);

/// Lets a client that trusts `ca` shake hands, and exchanges a byte.
async fn shake(
    https: &HttpsConfig,
    ca: &LocalCa,
    name: &str,
    protocols: &[&str],
) -> io::Result<Agreed> {
    let (here, there): (DuplexStream, DuplexStream) = duplex(1 << 16);
    let config = https.current().ok_or_else(|| io::Error::other("no CA"))?;
    let server = async {
        let (mut stream, name) = accept(there, config).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte + 1).await?;
        stream.flush().await?;
        Ok::<_, io::Error>(name)
    };
    let client = async {
        let mut stream = connect(here, ca, name, protocols).await?;
        stream.write_u8(1).await?;
        assert_eq!(stream.read_u8().await?, 2);
        Ok::<_, io::Error>(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
    };
    let (served, asked) = tokio::join!(server, client);
    Ok((served?, asked?))
}

#[tokio::test]
async fn clients_get_a_certificate_for_their_name_and_choose_the_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let ca = create_ca(dir.path());
    let https = HttpsConfig::new(Some(dir.path().to_owned()));
    let cases: [(&[&str], Option<&str>); 3] =
        [(&["h2", "http/1.1"], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)];
    for (protocols, chosen) in cases {
        let agreed = shake(&https, &ca, "API.shop.localhost", protocols).await.unwrap();
        let chosen = chosen.map(|name| name.as_bytes().to_vec());
        assert_eq!(agreed, ("api.shop.localhost".to_owned(), chosen));
    }
}

#[tokio::test]
async fn clients_that_ask_for_another_name_or_protocol_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ca = create_ca(dir.path());
    let https = HttpsConfig::new(Some(dir.path().to_owned()));
    // An address is not sent as a name.
    for (name, protocol) in [("evil.com", "h2"), ("127.0.0.1", "h2"), ("api.localhost", "smtp")] {
        assert!(shake(&https, &ca, name, &[protocol]).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_new_ca_is_used_at_once_and_a_removed_one_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let https = HttpsConfig::new(Some(dir.path().to_owned()));
    assert!(https.current().is_none());
    let first = create_ca(dir.path());
    assert!(shake(&https, &first, "localhost", &[]).await.is_ok());
    let kept = https.current().unwrap();
    assert!(std::sync::Arc::ptr_eq(&kept, &https.current().unwrap()), "its certificates are kept");
    let second = create_ca(dir.path());
    assert!(shake(&https, &first, "localhost", &[]).await.is_err());
    assert!(shake(&https, &second, "localhost", &[]).await.is_ok());
    LocalCa::remove(dir.path()).unwrap();
    assert!(https.current().is_none());
    assert!(HttpsConfig::new(None).current().is_none());
}
