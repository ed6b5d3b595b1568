use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::local_ca::{CERTIFICATE_LIFETIME, LocalCa};
use crate::sync::lock_unpoisoned;

/// How many certificates are kept. A client may ask for any name below `localhost`.
const MAX_KEPT: usize = 1_024;

/// How long before it expires a certificate is replaced.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Makes certificates, one for each name that a client asks for (SNI), and keeps them in memory.
#[derive(Debug)]
pub struct CertificateStore {
    ca: LocalCa,
    kept: Mutex<BTreeMap<String, KeptCertificate>>,
}

#[derive(Debug)]
struct KeptCertificate {
    made: SystemTime,
    key: Arc<CertifiedKey>,
}

impl KeptCertificate {
    fn is_fresh(&self, now: SystemTime) -> bool {
        // A clock that was set back makes it invalid as well.
        now.duration_since(self.made).is_ok_and(|age| age < CERTIFICATE_LIFETIME - RENEW_BEFORE)
    }
}

impl CertificateStore {
    /// Returns a store without certificates.
    pub fn new(ca: LocalCa) -> CertificateStore {
        CertificateStore { ca, kept: Mutex::default() }
    }

    /// Returns the certificate of a name. `None` if the CA may not sign it.
    fn certificate(&self, name: &str, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        if !self.ca.names().permits(&name) {
            return None;
        }
        let mut kept = lock_unpoisoned(&self.kept);
        if let Some(fresh) = kept.get(&name).filter(|kept| kept.is_fresh(now)) {
            return Some(fresh.key.clone());
        }
        let signed = self.ca.sign(&name, now);
        let key =
            signed.inspect_err(|error| tracing::warn!(name, %error, "no certificate")).ok()?;
        let key = Arc::new(key);
        if kept.len() >= MAX_KEPT && !kept.contains_key(&name) {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.made);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                kept.remove(&oldest);
            }
        }
        kept.insert(name, KeptCertificate { made: now, key: key.clone() });
        Some(key)
    }
}

impl ResolvesServerCert for CertificateStore {
    /// Refuses clients that name no server: they want an address, which the CA may not sign.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certificate(hello.server_name()?, SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::https::PermittedNames;

    fn store(dir: &std::path::Path) -> CertificateStore {
        let ca = LocalCa::create(dir, PermittedNames::localhost(), SystemTime::now());
        CertificateStore::new(ca.unwrap())
    }

    #[test]
    fn a_name_has_one_certificate_until_it_expires_soon() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let now = SystemTime::now();
        let first = store.certificate("api.localhost", now).unwrap();
        let later = now + CERTIFICATE_LIFETIME - RENEW_BEFORE;
        let same = |name: &str, at| Arc::ptr_eq(&first, &store.certificate(name, at).unwrap());
        assert!(same("API.localhost", later - Duration::from_secs(1)));
        assert!(!same("web.localhost", now));
        assert!(!same("api.localhost", later));
        assert!(!same("api.localhost", now), "the clock was set back");
        for refused in ["evil.com", "localhost.evil.com", ""] {
            assert!(store.certificate(refused, now).is_none(), "{refused}");
        }
    }

    #[test]
    fn the_oldest_certificates_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let now = SystemTime::now();
        let seconds = |number: usize| now + Duration::from_secs(number as u64);
        let name = |number: usize| format!("n{number}.localhost");
        for number in 0..=MAX_KEPT {
            store.certificate(&name(number), seconds(number)).unwrap();
        }
        let kept = lock_unpoisoned(&store.kept);
        assert_eq!(kept.len(), MAX_KEPT);
        assert!(!kept.contains_key(&name(0)) && kept.contains_key(&name(1)));
    }
}
