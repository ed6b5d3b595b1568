//! What to do with the trust stores: decided from facts alone.

use std::path::Path;

use super::facts::TrustFacts;
use super::trust_command::TrustCommand;
use super::trust_store::{StoreContent, TrustStore};

/// What the stores should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustGoal<'a> {
    /// The CA with the certificate in this file.
    Trusted(&'a Path),
    /// No CA of this user.
    Removed,
}

/// What is done to one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlan {
    pub store: TrustStore,
    /// What is done.
    pub action: StoreAction,
}

/// What is done to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAction {
    /// Nothing: it is as it should be.
    Keep,
    /// devstack runs these commands, in order.
    Run(Vec<TrustCommand>),
    /// The user runs these commands as root: devstack has no such rights, and takes none.
    AskRoot(Vec<TrustCommand>),
    /// Nothing: `certutil` is not installed.
    NeedsCertutil,
}

/// Decides what to do with each store.
pub fn plan(facts: &TrustFacts, goal: TrustGoal<'_>) -> Vec<StorePlan> {
    let plan_one = |(store, content): &(TrustStore, StoreContent)| {
        let commands = match (goal, content) {
            (_, StoreContent::Unreadable) => Err(StoreAction::NeedsCertutil),
            (TrustGoal::Trusted(_), StoreContent::ThisCa)
            | (TrustGoal::Removed, StoreContent::Nothing) => Err(StoreAction::Keep),
            (TrustGoal::Trusted(certificate), StoreContent::Nothing) => Ok(store.add(certificate)),
            (TrustGoal::Trusted(certificate), StoreContent::Stale) => {
                Ok(store.replace(certificate))
            }
            (TrustGoal::Removed, StoreContent::ThisCa | StoreContent::Stale) => Ok(store.remove()),
        };
        let action = match commands {
            Err(action) => action,
            Ok(commands) if store.needs_root() && !facts.is_root => StoreAction::AskRoot(commands),
            Ok(commands) => StoreAction::Run(commands),
        };
        StorePlan { store: store.clone(), action }
    };
    facts.stores.iter().map(plan_one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::https::stores::SystemStore;

    fn facts(is_root: bool) -> TrustFacts {
        let [fedora, arch, suse, debian] = &SystemStore::KNOWN;
        let system = |kind: &'static SystemStore| TrustStore::System {
            kind,
            file: Path::new(kind.dir).join(format!("devstack.{}", kind.extension)),
        };
        let nss = |browser, dir: &str| TrustStore::Nss { browser, dir: dir.into() };
        let stores = vec![
            (system(fedora), StoreContent::Nothing),
            (system(arch), StoreContent::ThisCa),
            (system(suse), StoreContent::Stale),
            (system(debian), StoreContent::Nothing),
            (TrustStore::Keychain("/Users/u/login.keychain-db".into()), StoreContent::Nothing),
            (TrustStore::Keychain("/Users/v/login.keychain-db".into()), StoreContent::Stale),
            (nss("Chromium", "/home/u/.pki/nssdb"), StoreContent::Nothing),
            (nss("Firefox", "/home/u/a profile"), StoreContent::Stale),
            (nss("Firefox", "/home/u/p.default"), StoreContent::ThisCa),
            (nss("Firefox", "/home/u/p.other"), StoreContent::Unreadable),
        ];
        TrustFacts { is_root, stores }
    }

    fn shown(plans: &[StorePlan]) -> String {
        let user = LocalCaName::hidden();
        let mut text = String::new();
        for StorePlan { store, action } in plans {
            let (what, commands) = match action {
                StoreAction::Keep => ("keep", &[][..]),
                StoreAction::NeedsCertutil => ("needs certutil", &[][..]),
                StoreAction::Run(commands) => ("run", &commands[..]),
                StoreAction::AskRoot(commands) => ("ask root", &commands[..]),
            };
            text += &format!("{} {}: {what}\n", store.name(), store.path().display());
            for command in commands {
                text += &format!("    {}\n", user.hide(&command.to_string()));
            }
        }
        text
    }

    /// The user who runs the tests, who is not part of a snapshot.
    struct LocalCaName(String);

    impl LocalCaName {
        fn hidden() -> LocalCaName {
            LocalCaName(crate::https::LocalCa::subject())
        }

        fn hide(&self, text: &str) -> String {
            text.replace(&self.0, "devstack CA of user N")
        }
    }

    #[test]
    fn what_each_system_needs() {
        let goal = TrustGoal::Trusted(Path::new("/home/u/ca/ca.crt"));
        let user = shown(&plan(&facts(false), goal));
        let root = shown(&plan(&facts(true), goal));
        assert_eq!(root, user.replace("ask root", "run"));
        insta::assert_snapshot!("trust", user);
    }

    #[test]
    fn undo_removes_what_is_there_and_nothing_else() {
        insta::assert_snapshot!("undo", shown(&plan(&facts(false), TrustGoal::Removed)));
    }
}
