use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::crypto::ring;

use super::certificate_store::CertificateStore;
use super::local_ca::LocalCa;
use super::permitted_names::PermittedNames;
use crate::sync::lock_unpoisoned;

/// The TLS settings of the CA that is there at the moment: `devstack trust` and `--undo` take effect in
/// running processes.
#[derive(Debug)]
pub struct HttpsConfig {
    dir: Option<PathBuf>,
    loaded: Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    version: Option<FileVersion>,
    ca: Option<LoadedCa>,
}

#[derive(Debug)]
struct LoadedCa {
    config: Arc<ServerConfig>,
    names: PermittedNames,
}

/// The inode and the time of the last change in nanoseconds: files are replaced, never changed.
type FileVersion = (u64, i64, i64);

impl HttpsConfig {
    /// Takes the directory of the CA, which may not exist. `None`: there can be no CA.
    pub fn new(dir: Option<PathBuf>) -> HttpsConfig {
        HttpsConfig { dir, loaded: Mutex::default() }
    }

    /// Returns the settings; `None` without a CA, or with one that cannot be used.
    pub fn current(&self) -> Option<Arc<ServerConfig>> {
        self.with_current(|ca| ca.config.clone())
    }

    /// Whether the user has given this name, or one above it, to `devstack trust`; in lower case.
    pub fn permits(&self, name: &str) -> bool {
        self.with_current(|ca| ca.names.permits(name)) == Some(true)
    }

    fn with_current<T>(&self, read: impl FnOnce(&LoadedCa) -> T) -> Option<T> {
        let dir = self.dir.as_ref()?;
        let version = version(&LocalCa::file(dir));
        let mut loaded = lock_unpoisoned(&self.loaded);
        if loaded.version != version {
            *loaded = Loaded { version, ca: load(dir) };
        }
        loaded.ca.as_ref().map(read)
    }
}

fn version(path: &Path) -> Option<FileVersion> {
    let file = std::fs::symlink_metadata(path).ok()?;
    Some((file.ino(), file.ctime(), file.ctime_nsec()))
}

fn load(dir: &Path) -> Option<LoadedCa> {
    let ca = LocalCa::load(dir).map_err(|why| tracing::warn!("{}", why.text)).ok()??;
    let names = ca.names().clone();
    let config = server_config(ca).map_err(|error| tracing::warn!("no TLS: {error}")).ok()?;
    Some(LoadedCa { config: Arc::new(config), names })
}

fn server_config(ca: LocalCa) -> io::Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let certificates = Arc::new(CertificateStore::new(ca));
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
