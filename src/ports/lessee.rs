use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{display_home_relative, holder};

/// A devstack that leased a port. Unknown facts are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseOwner {
    /// Its project directory.
    pub folder: Option<PathBuf>,
    /// Its pid, if it belongs to another user or its directory is unknown.
    pub pid: Option<u32>,
    /// Its user.
    pub uid: Option<u32>,
    /// The name of that user.
    pub user: Option<String>,
}

impl LeaseOwner {
    pub(super) fn this_user(folder: Option<PathBuf>) -> LeaseOwner {
        LeaseOwner { folder, ..LeaseOwner::default() }
    }

    #[cfg_attr(
        all(not(target_os = "linux"), not(test)),
        expect(dead_code, reason = "only Linux shows leases of other users")
    )]
    pub(super) fn process(
        pid: Option<u32>,
        uid: Option<u32>,
        folder: Option<PathBuf>,
    ) -> LeaseOwner {
        LeaseOwner { folder, pid, uid, user: uid.and_then(holder::user_name) }
    }

    /// Whether it is known to belong to another user.
    pub fn is_other_user(&self) -> bool {
        self.uid.is_some_and(|uid| uid != rustix::process::geteuid().as_raw())
    }
}

/// `another devstack stack (in ~/shop)`, `a devstack of user alice (pid 4100)`, …
impl fmt::Display for LeaseOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.user, self.uid) {
            (Some(user), _) if self.is_other_user() => write!(f, "a stack of user {user}")?,
            (None, Some(uid)) if self.is_other_user() => write!(f, "a stack of user {uid}")?,
            (Some(_) | None, Some(_) | None) => f.write_str("another stack")?,
        }
        match (&self.folder, self.pid) {
            (Some(folder), _) => write!(f, " (in {})", display_home_relative(folder)),
            (None, Some(pid)) => write!(f, " (pid {pid})"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LeaseOwner;

    #[test]
    fn a_lessee_is_said_as_far_as_it_is_known() {
        let me = rustix::process::geteuid().as_raw();
        let strange =
            |pid| LeaseOwner { user: None, ..LeaseOwner::process(pid, Some(me + 7), None) };
        for (lessee, said) in [
            (LeaseOwner::this_user(None), "another stack".to_owned()),
            (LeaseOwner::this_user(Some("/srv/x".into())), "another stack (in /srv/x)".to_owned()),
            (LeaseOwner::process(Some(7), Some(me), None), "another stack (pid 7)".to_owned()),
            (strange(Some(7)), format!("a stack of user {} (pid 7)", me + 7)),
            (strange(None), format!("a stack of user {}", me + 7)),
        ] {
            assert_eq!(lessee.to_string(), said);
        }
        let alice = LeaseOwner { user: Some("alice".to_owned()), ..strange(Some(9)) };
        assert_eq!(alice.to_string(), "a stack of user alice (pid 9)");
    }
}
