use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::trust_command::TrustCommand;
use crate::https::LocalCa;

/// Where programs look for the CAs that they trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustStore {
    /// Of the Linux system: curl, Python's ssl, Go and most others. Only root may change it.
    System {
        /// How this kind of Linux keeps it.
        kind: &'static SystemStore,
        /// The file that devstack adds.
        file: PathBuf,
    },
    /// The login keychain of macOS: Safari, Chrome, Firefox, curl.
    Keychain(PathBuf),
    /// A database of NSS, the library of browsers on Linux.
    Nss {
        /// Whose it is.
        browser: &'static str,
        /// Its directory.
        dir: PathBuf,
    },
}

/// How a kind of Linux keeps its CAs: additions lie in a directory, from which a command makes bundles.
#[derive(Debug, PartialEq, Eq)]
pub struct SystemStore {
    /// The directory of additions.
    pub dir: &'static str,
    /// What names in it must end with.
    pub extension: &'static str,
    /// Makes the bundles.
    pub refresh: &'static [&'static str],
    /// Makes them without what was removed, of which `refresh` may leave links.
    pub clean: &'static [&'static str],
    /// The bundle that programs with an option for one can use.
    pub bundle: &'static str,
}

impl SystemStore {
    /// Those that devstack knows: Fedora and RHEL, Arch, openSUSE, Debian and its relatives. The first
    /// whose directory exists is used.
    pub const KNOWN: [SystemStore; 4] = [
        SystemStore {
            dir: "/etc/pki/ca-trust/source/anchors",
            extension: "pem",
            refresh: &["update-ca-trust", "extract"],
            clean: &["update-ca-trust", "extract"],
            bundle: "/etc/pki/tls/certs/ca-bundle.crt",
        },
        SystemStore {
            dir: "/etc/ca-certificates/trust-source/anchors",
            extension: "crt",
            refresh: &["update-ca-trust", "extract"],
            clean: &["update-ca-trust", "extract"],
            bundle: "/etc/ssl/certs/ca-certificates.crt",
        },
        SystemStore {
            dir: "/etc/pki/trust/anchors",
            extension: "pem",
            refresh: &["update-ca-certificates"],
            clean: &["update-ca-certificates", "--fresh"],
            bundle: "/etc/ssl/ca-bundle.pem",
        },
        SystemStore {
            dir: "/usr/local/share/ca-certificates",
            extension: "crt",
            refresh: &["update-ca-certificates"],
            clean: &["update-ca-certificates", "--fresh"],
            bundle: "/etc/ssl/certs/ca-certificates.crt",
        },
    ];
}

/// What a store holds under the name of the CA of this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreContent {
    /// No certificate of that name.
    Nothing,
    /// The CA that is used, and it is in effect.
    ThisCa,
    /// An earlier one, or one that is not in effect.
    Stale,
    /// Unknown: the program that can tell is not installed.
    Unreadable,
}

impl StoreContent {
    /// Compares the certificate that a store holds, in PEM, with the one of the CA.
    pub(super) fn of(found: Option<&[u8]>, ca: Option<&LocalCa>) -> StoreContent {
        let Some(found) = found else { return StoreContent::Nothing };
        let found = CertificateDer::from_pem_slice(found).ok();
        match ca.is_some_and(|ca| found.as_ref() == Some(ca.root())) {
            true => StoreContent::ThisCa,
            false => StoreContent::Stale,
        }
    }
}

impl TrustStore {
    /// Returns the name for people: `system`, `Firefox`.
    pub fn name(&self) -> &'static str {
        match self {
            TrustStore::System { .. } => "system",
            TrustStore::Keychain(_) => "login keychain",
            TrustStore::Nss { browser, .. } => browser,
        }
    }

    /// Returns the file or directory that changes.
    pub fn path(&self) -> &Path {
        match self {
            TrustStore::System { file: path, .. }
            | TrustStore::Keychain(path)
            | TrustStore::Nss { dir: path, .. } => path,
        }
    }

    /// Whether only root may change it.
    pub fn needs_root(&self) -> bool {
        matches!(self, TrustStore::System { .. })
    }

    /// Returns the command that prints the certificate with the name of the CA of this user, if it takes
    /// one. It fails when there is none.
    pub(super) fn show(&self) -> Option<TrustCommand> {
        let subject = LocalCa::subject();
        match self {
            TrustStore::System { .. } => None,
            TrustStore::Keychain(keychain) => {
                let words =
                    ["security", "find-certificate", "-c", &subject, "-p"].map(AsRef::as_ref);
                Some(TrustCommand::new(words.into_iter().chain([keychain.as_os_str()])))
            }
            TrustStore::Nss { dir, .. } => Some(certutil("-L", dir, &["-n", &subject, "-a"])),
        }
    }

    /// Returns the commands that add a certificate, none of which is there.
    pub(super) fn add(&self, certificate: &Path) -> Vec<TrustCommand> {
        let subject = LocalCa::subject();
        match self {
            TrustStore::System { kind, file } => {
                let install = ["install", "-m", "644"].map(AsRef::as_ref);
                let files = [certificate.as_os_str(), file.as_os_str()];
                vec![
                    TrustCommand::new(install.into_iter().chain(files)),
                    TrustCommand::new(kind.refresh),
                ]
            }
            TrustStore::Keychain(keychain) => {
                let words = ["security", "add-trusted-cert", "-r", "trustRoot", "-k"];
                let files = [keychain.as_os_str(), certificate.as_os_str()];
                vec![TrustCommand::new(words.map(AsRef::as_ref).into_iter().chain(files))]
            }
            TrustStore::Nss { dir, .. } => {
                let certificate = certificate.to_string_lossy();
                // Trusted to sign certificates of servers, and nothing else.
                let rest = ["-n", &subject, "-t", "C,,", "-i", &certificate];
                vec![certutil("-A", dir, &rest)]
            }
        }
    }

    /// Returns the commands that add a certificate instead of an earlier one.
    pub(super) fn replace(&self, certificate: &Path) -> Vec<TrustCommand> {
        match self {
            // The file is written anew.
            TrustStore::System { .. } => self.add(certificate),
            TrustStore::Keychain(_) | TrustStore::Nss { .. } => {
                [self.remove(), self.add(certificate)].concat()
            }
        }
    }

    /// Returns the commands that remove the certificate of this user's CA.
    pub(super) fn remove(&self) -> Vec<TrustCommand> {
        let subject = LocalCa::subject();
        match self {
            TrustStore::System { kind, file } => vec![
                TrustCommand::new(["rm".as_ref(), "-f".as_ref(), file.as_os_str()]),
                TrustCommand::new(kind.clean),
            ],
            TrustStore::Keychain(keychain) => {
                let words = ["security", "delete-certificate", "-c", &subject, "-t"];
                let words = words.map(AsRef::as_ref).into_iter();
                vec![TrustCommand::new(words.chain([keychain.as_os_str()]))]
            }
            TrustStore::Nss { dir, .. } => vec![certutil("-D", dir, &["-n", &subject])],
        }
    }
}

fn certutil(action: &str, dir: &Path, rest: &[&str]) -> TrustCommand {
    let database = format!("sql:{}", dir.display());
    TrustCommand::new(["certutil", action, "-d", &database].iter().chain(rest))
}
