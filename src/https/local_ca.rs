use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, date_time_ymd,
};
use rustix::process::geteuid;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use super::permitted_names::PermittedNames;
use crate::atomic_file::{self, PRIVATE, USUAL};
use crate::model::{Message, MessageClass};

/// The key, the certificate and what must be known of it; for this user only.
const CA_FILE: &str = "ca.json";

/// The certificate alone, for the stores and for other programs.
const CERTIFICATE_FILE: &str = "ca.crt";

/// Version of the file.
const VERSION: u32 = 1;

/// Maximum size of the file in bytes.
const MAX_FILE: u64 = 1 << 20;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a CA is valid.
const CA_LIFETIME: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);

/// How long a certificate is valid.
pub(super) const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How long before now certificates begin: clocks of containers and virtual machines differ.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// The certificate authority of this user: a root, which stores trust, and an intermediate, which signs
/// the certificates of names.
///
/// The key of the root is forgotten once it has signed the intermediate. Some clients, such as Java, do
/// not apply the name constraints of a root; all apply those of an intermediate, whose key is kept.
pub struct LocalCa {
    names: PermittedNames,
    expires: SystemTime,
    root: CertificateDer<'static>,
    intermediate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A CA on disk.
#[derive(Serialize, Deserialize)]
struct CaRecord {
    version: u32,
    /// The common name of the intermediate, by which certificates name their issuer.
    subject: String,
    names: PermittedNames,
    /// In seconds since 1970.
    expires: u64,
    /// In PEM, as the two below.
    root: String,
    intermediate: String,
    /// Of the intermediate.
    key: String,
}

impl LocalCa {
    /// Returns the name by which stores list the CA of this user.
    pub fn subject() -> String {
        format!("devstack CA of user {}", geteuid().as_raw())
    }

    /// Returns the file with the certificate of the CA in this directory.
    pub fn certificate_file(dir: &Path) -> PathBuf {
        dir.join(CERTIFICATE_FILE)
    }

    /// Returns the file that changes with the CA.
    pub(super) fn file(dir: &Path) -> PathBuf {
        dir.join(CA_FILE)
    }

    /// Reads the CA in this directory. `None` if there is none.
    ///
    /// # Errors
    /// Its file is corrupt, is a link, or can be read by other users.
    pub fn load(dir: &Path) -> Result<Option<LocalCa>, Message> {
        let path = LocalCa::file(dir);
        let refused = |why: String| {
            Message::new(MessageClass::Denied, format!("cannot use the local CA: {why}"))
                .help("run `devstack trust --undo`, then `devstack trust` for a new one")
        };
        let record = atomic_file::read(&path, MAX_FILE, |text| {
            serde_json::from_slice(text).ok().filter(|record: &CaRecord| record.version == VERSION)
        });
        let Some(record) = record.map_err(|error| refused(error.to_string()))? else {
            return Ok(None);
        };
        let file = fs::symlink_metadata(&path).map_err(|error| refused(error.to_string()))?;
        if file.uid() != geteuid().as_raw() || file.mode() & 0o077 != 0 {
            let why = format!("other users can change or read {}", path.display());
            return Err(refused(why));
        }
        let corrupt = |_| refused(format!("{} is corrupt", path.display()));
        LocalCa::from_record(&record).map(Some).map_err(corrupt)
    }

    fn from_record(record: &CaRecord) -> Result<LocalCa, rcgen::Error> {
        let key = KeyPair::from_pem(&record.key)?;
        let certificate = |pem: &str| {
            CertificateDer::from_pem_slice(pem.as_bytes())
                .map_err(|_| rcgen::Error::CouldNotParseCertificate)
        };
        let params = ca_params(&record.subject, 0, &record.names);
        Ok(LocalCa {
            names: record.names.clone(),
            expires: UNIX_EPOCH + Duration::from_secs(record.expires.min(u64::from(u32::MAX))),
            root: certificate(&record.root)?,
            intermediate: certificate(&record.intermediate)?,
            issuer: Issuer::new(params, key),
        })
    }

    /// Makes a CA for these names in a private directory. It replaces the one that is there.
    pub fn create(dir: &Path, names: PermittedNames, now: SystemTime) -> Result<LocalCa, Message> {
        let failed = |why: &dyn fmt::Display| {
            Message::new(MessageClass::Disk, format!("cannot create the local CA: {why}"))
        };
        let record = new_record(names, now).map_err(|error| failed(&error))?;
        let ca = LocalCa::from_record(&record).map_err(|error| failed(&error))?;
        let json = serde_json::to_string_pretty(&record).map_err(|error| failed(&error))?;
        write(&LocalCa::file(dir), PRIVATE, &json)
            .and_then(|()| write(&dir.join(CERTIFICATE_FILE), USUAL, &record.root))
            .map_err(|error| failed(&error))?;
        Ok(ca)
    }

    /// Removes the CA and its directory.
    ///
    /// # Errors
    /// A file of the CA cannot be removed.
    pub fn remove(dir: &Path) -> io::Result<()> {
        for file in [CA_FILE, CERTIFICATE_FILE] {
            match fs::remove_file(dir.join(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        // Files of others stay, and their directory.
        let _ = fs::remove_dir(dir);
        Ok(())
    }

    /// Returns the names that it signs.
    pub fn names(&self) -> &PermittedNames {
        &self.names
    }

    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// Whether certificates made now would outlive it.
    pub fn expires_soon(&self, now: SystemTime) -> bool {
        self.expires <= now + CERTIFICATE_LIFETIME
    }

    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// Signs a certificate for a name with a key of its own. Whether it is permitted is the caller's
    /// question; clients refuse the others.
    pub(super) fn sign(&self, name: &str, now: SystemTime) -> Result<CertifiedKey, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        // Without a common name, which some clients would take for another name.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "devstack");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now - CLOCK_SKEW, now + CERTIFICATE_LIFETIME);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key =
            ring::sign::any_ecdsa_type(&key).map_err(|_| rcgen::Error::KeyGenerationUnavailable)?;
        Ok(CertifiedKey::new(vec![certificate.der().clone(), self.intermediate.clone()], key))
    }

    /// Whether a client with these roots accepts the certificates of this CA.
    pub fn is_trusted_by(&self, roots: RootCertStore, now: SystemTime) -> bool {
        const NAME: &str = "devstack.localhost";
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let (Ok(verifier), Ok(signed), Ok(name)) =
            (verifier, self.sign(NAME, now), ServerName::try_from(NAME))
        else {
            return false;
        };
        let now = UnixTime::since_unix_epoch(since_1970(now));
        verifier.verify_server_cert(&signed.cert[0], &signed.cert[1..], &name, &[], now).is_ok()
    }
}

/// Without its key.
impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCa").field("names", &self.names).finish_non_exhaustive()
    }
}

fn new_record(names: PermittedNames, now: SystemTime) -> Result<CaRecord, rcgen::Error> {
    let expires = now + CA_LIFETIME;
    let root_key = KeyPair::generate()?;
    let mut root_params = ca_params(&LocalCa::subject(), 1, &names);
    set_validity(&mut root_params, now - DAY, expires);
    let root = root_params.self_signed(&root_key)?.pem();

    let subject = format!("{} (intermediate)", LocalCa::subject());
    let key = KeyPair::generate()?;
    let mut params = ca_params(&subject, 0, &names);
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now - DAY, expires);
    let intermediate = params.signed_by(&key, &Issuer::new(root_params, root_key))?.pem();
    Ok(CaRecord {
        version: VERSION,
        subject,
        names,
        expires: since_1970(expires).as_secs(),
        root,
        intermediate,
        key: key.serialize_pem(),
    })
}

/// What a CA may sign: server certificates for its names, with at most so many CAs below it.
fn ca_params(subject: &str, path_length: u8, names: &PermittedNames) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names
            .iter()
            .map(|name| GeneralSubtree::DnsName(name.to_owned()))
            .collect(),
        // Permitted names say nothing about addresses.
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    });
    params
}

fn set_validity(params: &mut CertificateParams, from: SystemTime, until: SystemTime) {
    let start_of_1970 = date_time_ymd(1970, 1, 1);
    params.not_before = start_of_1970 + since_1970(from);
    params.not_after = start_of_1970 + since_1970(until);
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    atomic_file::replace(path, mode, |file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
    .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    fn ca_for(dir: &Path, given: &[&str]) -> LocalCa {
        let mut names = PermittedNames::localhost();
        given.iter().for_each(|name| names.add(name).unwrap());
        LocalCa::create(dir, names, SystemTime::now()).unwrap()
    }

    /// Verifies a certificate as a client does; returns why it is refused.
    fn verify(ca: &LocalCa, name: &str, at: SystemTime) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        roots.add(ca.root().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let signed = ca.sign(name, SystemTime::now()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let at = UnixTime::since_unix_epoch(since_1970(at));
        let verified =
            verifier.verify_server_cert(&signed.cert[0], &signed.cert[1..], &name, &[], at);
        verified.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn a_ca_is_read_as_it_was_created_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        assert!(LocalCa::load(dir.path()).unwrap().is_none());
        let created = ca_for(dir.path(), &["shop.test"]);
        let loaded = LocalCa::load(dir.path()).unwrap().unwrap();
        assert_eq!(loaded.names(), created.names());
        assert_eq!(loaded.root(), created.root());
        assert_eq!(since_1970(loaded.expires()).as_secs(), since_1970(created.expires()).as_secs());
        let mode = |name| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(CA_FILE), 0o600);
        assert_eq!(mode(CERTIFICATE_FILE) & 0o133, 0);
        let public = fs::read_to_string(dir.path().join(CERTIFICATE_FILE)).unwrap();
        assert!(public.starts_with("-----BEGIN CERTIFICATE-----") && !public.contains("KEY"));
        assert_eq!(CertificateDer::from_pem_slice(public.as_bytes()).unwrap(), *created.root());
        assert!(!format!("{created:?}").contains("key"));

        fs::write(dir.path().join("mine"), "stays").unwrap();
        LocalCa::remove(dir.path()).unwrap();
        LocalCa::remove(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_could_have_prepared_is_refused_and_nothing_is_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(CA_FILE);
        let refused = |what: &str| {
            let why = LocalCa::load(dir.path()).expect_err(what);
            assert!(why.help.contains("devstack trust --undo"), "{why:?}");
            why.text.replace(&dir.path().display().to_string(), "DIR")
        };
        ca_for(dir.path(), &[]);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let shared = "cannot use the local CA: other users can change or read DIR/ca.json";
        assert_eq!(refused("open to the group"), shared);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();

        let moved = dir.path().join("moved");
        fs::rename(&file, &moved).unwrap();
        symlink(&moved, &file).unwrap();
        let corrupt = "cannot use the local CA: DIR/ca.json is corrupt";
        assert_eq!(refused("a link"), corrupt);
        let before = fs::read(&moved).unwrap();
        ca_for(dir.path(), &[]);
        assert_eq!(fs::read(&moved).unwrap(), before);
        assert!(LocalCa::load(dir.path()).unwrap().is_some());

        let good = fs::read_to_string(&file).unwrap();
        for bad in ["", "{}", &good.replace("BEGIN", "BEGUN"), &good.replace(": 1", ": 2")] {
            fs::write(&file, bad).unwrap();
            assert_eq!(refused(bad), corrupt);
        }
    }

    #[test]
    fn clients_accept_permitted_names_and_refuse_all_others() {
        let dir = tempfile::tempdir().unwrap();
        let ca = ca_for(dir.path(), &["shop.test"]);
        let now = SystemTime::now();
        for good in ["localhost", "api.shop.localhost", "shop.test", "a.b.shop.test"] {
            assert_eq!(verify(&ca, good, now), Ok(()), "{good}");
        }
        for bad in ["evil.com", "test", "shop.test.evil.com", "myshop.test", "127.0.0.1", "::1"] {
            let why = verify(&ca, bad, now).expect_err(bad);
            assert!(why.contains("NameConstraintViolation"), "{bad}: {why}");
        }
        for bad in [now - 2 * CLOCK_SKEW, now + CERTIFICATE_LIFETIME + DAY] {
            let why = verify(&ca, "localhost", bad).unwrap_err();
            assert!(why.contains("valid") || why.contains("expired"), "{why}");
        }
        let other = tempfile::tempdir().unwrap();
        let other = ca_for(other.path(), &[]);
        let mut roots = RootCertStore::empty();
        assert!(!ca.is_trusted_by(roots.clone(), now));
        roots.add(other.root().clone()).unwrap();
        assert!(!ca.is_trusted_by(roots.clone(), now));
        roots.add(ca.root().clone()).unwrap();
        assert!(ca.is_trusted_by(roots, now));
    }

    #[test]
    fn openssl_agrees_if_it_is_installed() {
        let dir = tempfile::tempdir().unwrap();
        let ca = ca_for(dir.path(), &[]);
        let verify = |name: &str| {
            let signed = ca.sign(name, SystemTime::now()).unwrap();
            let [leaf, intermediate] =
                ["leaf.der", "intermediate.der"].map(|name| dir.path().join(name));
            fs::write(&leaf, &signed.cert[0]).unwrap();
            fs::write(&intermediate, &signed.cert[1]).unwrap();
            let mut command = Command::new("openssl");
            command.args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"]);
            command.arg(dir.path().join(CERTIFICATE_FILE)).arg("-untrusted").arg(intermediate);
            command.arg(leaf).output()
        };
        if let Ok(found) = verify("api.shop.localhost") {
            assert!(found.status.success(), "{found:?}");
            for bad in ["evil.com", "127.0.0.1"] {
                let found = verify(bad).unwrap();
                assert!(!found.status.success(), "{bad}");
                let why = String::from_utf8_lossy(&found.stderr).into_owned();
                assert!(why.contains("subtree violation"), "{bad}: {why}");
            }
        }
    }
}
