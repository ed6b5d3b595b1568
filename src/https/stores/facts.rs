//! What the trust stores of this machine hold. Changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::process::geteuid;
use rustls::RootCertStore;

use super::trust_command::TrustCommand;
use super::trust_store::{StoreContent, SystemStore, TrustStore};
use crate::atomic_file;
use crate::https::LocalCa;
use crate::process::locate_program;

/// Maximum size of a certificate file in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The database of NSS: its name, in the directory.
const NSS_DATABASE: &str = "cert9.db";

/// Where databases of NSS are, below the home directory. Snap and Flatpak have homes of their own.
const NSS_DATABASES: [(&str, &str); 4] = [
    ("Chromium", ".pki/nssdb"),
    ("Chromium", ".local/share/pki/nssdb"),
    ("Chromium (snap)", "snap/chromium/current/.pki/nssdb"),
    ("Chrome (flatpak)", ".var/app/com.google.Chrome/.pki/nssdb"),
];

/// Where Firefox keeps its profiles, each with a database.
const FIREFOX_PROFILES: [(&str, &str); 4] = [
    ("Firefox", ".mozilla/firefox"),
    ("Firefox", ".config/mozilla/firefox"),
    ("Firefox (snap)", "snap/firefox/common/.mozilla/firefox"),
    ("Firefox (flatpak)", ".var/app/org.mozilla.firefox/.mozilla/firefox"),
];

/// What is known of the trust stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFacts {
    /// Whether devstack runs as root.
    pub is_root: bool,
    /// The stores of this machine and user.
    pub stores: Vec<(TrustStore, StoreContent)>,
}

/// Where to look, so that tests have a machine of their own.
struct Machine<'a> {
    /// `/`.
    root: &'a Path,
    /// The home directory, if the user has one.
    home: Option<&'a Path>,
    /// Whether it is a Mac.
    is_macos: bool,
    /// Whether a program is installed.
    has_program: &'a dyn Fn(&str) -> bool,
    /// Whether the system as a whole accepts certificates of a CA.
    trusts: &'a dyn Fn(&LocalCa) -> bool,
    /// Runs a command that only reads.
    read: &'a dyn Fn(&TrustCommand) -> Option<Vec<u8>>,
}

impl TrustFacts {
    /// Looks what the stores of this machine hold, compared with a CA if there is one.
    pub fn of_this_machine(ca: Option<&LocalCa>) -> TrustFacts {
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        let machine = Machine {
            root: Path::new("/"),
            home: home.as_deref(),
            is_macos: cfg!(target_os = "macos"),
            has_program: &is_installed,
            trusts: &system_trusts,
            read: &|command| command.run().ok(),
        };
        TrustFacts::collect(&machine, ca)
    }

    /// Looks what the stores of a machine hold.
    fn collect(machine: &Machine<'_>, ca: Option<&LocalCa>) -> TrustFacts {
        let stores = stores(machine).into_iter().map(|store| {
            let content = content(&store, machine, ca);
            (store, content)
        });
        TrustFacts { is_root: geteuid().is_root(), stores: stores.collect() }
    }

    /// Returns the bundle of the system's CAs, if devstack knows it.
    pub fn bundle(&self) -> Option<&'static str> {
        self.stores.iter().find_map(|(store, _)| match store {
            TrustStore::System { kind, .. } => Some(kind.bundle),
            TrustStore::Keychain(_) | TrustStore::Nss { .. } => None,
        })
    }
}

pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH");
    locate_program(program.as_ref(), Path::new("/"), path.as_ref()).is_ok()
}

/// Whether the certificates that this system trusts include a CA.
fn system_trusts(ca: &LocalCa) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ca.is_trusted_by(roots, SystemTime::now())
}

fn stores(machine: &Machine<'_>) -> Vec<TrustStore> {
    if machine.is_macos {
        let keychain = |home: &Path| home.join("Library/Keychains/login.keychain-db");
        return machine.home.map(keychain).map(TrustStore::Keychain).into_iter().collect();
    }
    let user = geteuid().as_raw();
    let system = SystemStore::KNOWN.iter().find_map(|kind| {
        let dir = machine.root.join(kind.dir.trim_start_matches('/'));
        let file = dir.join(format!("devstack-{user}.{}", kind.extension));
        dir.is_dir().then_some(TrustStore::System { kind, file })
    });
    let browsers = machine.home.map(nss_databases).unwrap_or_default();
    system.into_iter().chain(browsers).collect()
}

fn nss_databases(home: &Path) -> Vec<TrustStore> {
    let mut found: Vec<(&str, PathBuf)> =
        NSS_DATABASES.iter().map(|(browser, dir)| (*browser, home.join(dir))).collect();
    for (browser, dir) in FIREFOX_PROFILES {
        let profiles = fs::read_dir(home.join(dir)).into_iter().flatten().flatten();
        let mut profiles: Vec<PathBuf> = profiles.map(|entry| entry.path()).collect();
        profiles.sort();
        found.extend(profiles.into_iter().map(|profile| (browser, profile)));
    }
    found.retain(|(_, dir)| dir.join(NSS_DATABASE).is_file());
    found.into_iter().map(|(browser, dir)| TrustStore::Nss { browser, dir }).collect()
}

fn content(store: &TrustStore, machine: &Machine<'_>, ca: Option<&LocalCa>) -> StoreContent {
    let found = match (store, store.show()) {
        (TrustStore::Nss { .. }, _) if !(machine.has_program)("certutil") => {
            return StoreContent::Unreadable;
        }
        (_, Some(command)) => (machine.read)(&command),
        (_, None) => atomic_file::read(store.path(), MAX_FILE, |text| Some(text.to_vec()))
            .unwrap_or_else(|_| Some(Vec::new())),
    };
    let content = StoreContent::of(found.as_deref(), ca);
    match (content, store) {
        // Its file may be there without being in effect: `update-ca-certificates` was not run.
        (StoreContent::ThisCa, TrustStore::System { .. } | TrustStore::Keychain(_))
            if !ca.is_some_and(machine.trusts) =>
        {
            StoreContent::Stale
        }
        (content, _) => content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::https::PermittedNames;

    /// A machine in a directory, with one CA.
    struct FakeMachine {
        dir: tempfile::TempDir,
        ca: LocalCa,
    }

    impl FakeMachine {
        fn new() -> FakeMachine {
            let dir = tempfile::tempdir().unwrap();
            let ca_dir = dir.path().join("ca");
            fs::create_dir(&ca_dir).unwrap();
            let names = PermittedNames::localhost();
            let ca = LocalCa::create(&ca_dir, names, SystemTime::now()).unwrap();
            FakeMachine { dir, ca }
        }

        fn certificate(&self) -> Vec<u8> {
            fs::read(LocalCa::certificate_file(&self.dir.path().join("ca"))).unwrap()
        }

        fn put(&self, path: &str, text: &[u8]) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// Returns each store with what it holds; `trusts` is what the system accepts as a whole.
        fn look(&self, certutil: bool, trusts: bool) -> Vec<String> {
            self.look_with(certutil, trusts, false)
        }

        fn look_with(&self, certutil: bool, trusts: bool, is_macos: bool) -> Vec<String> {
            let home = self.dir.path().join("home");
            let read = |command: &TrustCommand| {
                let shown = command.to_string();
                assert!(shown.contains(" -L ") || shown.contains(" find-certificate "), "{shown}");
                // What the database of this profile holds.
                shown
                    .contains("known")
                    .then(|| self.certificate())
                    .or(shown.contains("old").then(|| b"another".to_vec()))
            };
            let machine = Machine {
                root: self.dir.path(),
                home: Some(&home),
                is_macos,
                has_program: &|_| certutil,
                trusts: &|_| trusts,
                read: &read,
            };
            let facts = TrustFacts::collect(&machine, Some(&self.ca));
            let line = |(store, content): &(TrustStore, StoreContent)| {
                let path =
                    store.path().strip_prefix(self.dir.path()).unwrap().display().to_string();
                let user = format!("devstack-{}", geteuid().as_raw());
                format!("{} {} {content:?}", store.name(), path.replace(&user, "devstack-N"))
            };
            facts.stores.iter().map(line).collect()
        }
    }

    #[test]
    fn stores_are_found_by_their_directories() {
        let machine = FakeMachine::new();
        assert_eq!(machine.look(true, false), [""; 0]);
        machine.put("usr/local/share/ca-certificates/other.crt", b"");
        machine.put("home/.pki/nssdb/cert9.db", b"");
        machine.put("home/.mozilla/firefox/known.default/cert9.db", b"");
        machine.put("home/.mozilla/firefox/old/cert9.db", b"");
        machine.put("home/.mozilla/firefox/profiles.ini", b"");
        machine.put("home/snap/firefox/common/.mozilla/firefox/s/cert9.db", b"");
        let found = machine.look(true, false);
        insta::assert_snapshot!(found.join("\n"));
        let without = machine.look(false, false);
        assert_eq!(without.iter().filter(|line| line.ends_with("Unreadable")).count(), 4);
        // Fedora has both directories.
        machine.put("etc/pki/ca-trust/source/anchors/README", b"");
        let fedora = "system etc/pki/ca-trust/source/anchors/devstack-N.pem Nothing";
        assert_eq!(machine.look(true, false)[0], fedora);
    }

    #[test]
    fn a_file_in_the_system_store_counts_once_it_is_in_effect() {
        let machine = FakeMachine::new();
        let file = format!("usr/local/share/ca-certificates/devstack-{}.crt", geteuid().as_raw());
        let path = "system usr/local/share/ca-certificates/devstack-N.crt";
        machine.put(&file, &machine.certificate());
        assert_eq!(machine.look(true, true), [format!("{path} ThisCa")]);
        assert_eq!(machine.look(true, false), [format!("{path} Stale")]);
        machine.put(&file, b"another");
        assert_eq!(machine.look(true, true), [format!("{path} Stale")]);
        fs::remove_file(machine.dir.path().join(&file)).unwrap();
        std::os::unix::fs::symlink("/dev/null", machine.dir.path().join(&file)).unwrap();
        assert_eq!(machine.look(true, true), [format!("{path} Stale")], "a link is replaced");
    }

    #[test]
    fn a_mac_has_its_login_keychain() {
        let machine = FakeMachine::new();
        machine.put("home/.pki/nssdb/cert9.db", b"");
        let path = "home/Library/Keychains/login.keychain-db";
        assert_eq!(machine.look_with(true, true, true), [format!("login keychain {path} Nothing")]);
    }
}
