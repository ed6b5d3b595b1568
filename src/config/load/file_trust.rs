//! Whose files devstack obeys. A configuration runs commands, so one that another user could have
//! written is not picked up by accident.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use crate::config::ConfigSources;

/// Root can write any file anyway, so its files are trusted.
const ROOT: u32 = 0;

/// The users whose files are obeyed wherever they are.
#[derive(Debug, Clone)]
pub(super) struct TrustedUsers {
    /// `None`: everyone.
    users: Option<BTreeSet<u32>>,
}

impl TrustedUsers {
    /// The user, root, and with sudo its caller.
    pub fn new(sources: &ConfigSources) -> TrustedUsers {
        let caller = sources.env.get("SUDO_UID").filter(|_| sources.user == Some(ROOT));
        let caller = caller.and_then(|uid| uid.parse().ok());
        let users = |user| BTreeSet::from_iter([user, ROOT].into_iter().chain(caller));
        TrustedUsers { users: sources.user.map(users) }
    }

    /// Adds the owners of a file that is obeyed: they can run any command already.
    pub fn add(&mut self, owners: &BTreeSet<u32>) {
        if let Some(users) = &mut self.users {
            users.extend(owners);
        }
    }

    /// Returns those of `owners` that are not trusted.
    fn strangers(&self, owners: &BTreeSet<u32>) -> Vec<u32> {
        let strangers = self.users.as_ref().map(|users| owners.difference(users).copied());
        strangers.into_iter().flatten().collect()
    }
}

/// How a configuration file was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileDiscovery {
    /// Given with `-f`.
    Named,
    /// In the current directory.
    Here(DirAccess),
    /// In a parent directory: from the current directory up to it.
    Above(Vec<DirAccess>),
    /// Beside the main file.
    Beside,
}

/// Owner and permissions of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DirAccess {
    owner: u32,
    group: u32,
    mode: u32,
}

impl DirAccess {
    pub fn of(about: &Metadata) -> DirAccess {
        DirAccess { owner: about.uid(), group: about.gid(), mode: about.mode() }
    }

    /// Whether every user can create files in it.
    pub fn is_public(self) -> bool {
        self.mode & 0o002 != 0
    }

    /// Whether users other than `owner` and the trusted ones can create files in it. The group of a
    /// user alone has the number of the user, by convention.
    fn is_open_beyond(self, owner: u32, trusted: &TrustedUsers) -> bool {
        let group = self.mode & 0o020 != 0 && self.group != owner && self.group != ROOT;
        let of_stranger =
            self.owner != owner && !trusted.strangers(&BTreeSet::from([self.owner])).is_empty();
        self.is_public() || group || of_stranger
    }
}

/// Whether a file is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Obeyed,
    /// Obeyed, although it belongs to another user.
    Noted(u32),
    /// It belongs to another user, and may not be meant to be run.
    Refused(u32),
    /// It belongs to another user, and others can write its directory.
    RefusedInOpenDir(u32),
}

/// Decides whether a file of these owners, its own and those of links to it, is obeyed.
pub(super) fn judge(
    owners: &BTreeSet<u32>,
    discovery: &FileDiscovery,
    trusted: &TrustedUsers,
) -> Verdict {
    let strangers = trusted.strangers(owners);
    let Some(&stranger) = strangers.first() else { return Verdict::Obeyed };
    // What is said of one user does not hold for a second one.
    let only_one = strangers.len() == 1;
    match discovery {
        FileDiscovery::Named => Verdict::Obeyed,
        FileDiscovery::Here(dir) if dir.is_open_beyond(stranger, trusted) => {
            Verdict::RefusedInOpenDir(stranger)
        }
        FileDiscovery::Here(_) if only_one => Verdict::Noted(stranger),
        // Its owner can write what is run from here already, as in a container where root works on
        // the files of a user.
        FileDiscovery::Above(dirs)
            if only_one
                && !dirs.is_empty()
                && dirs
                    .iter()
                    .all(|dir| dir.owner == stranger && !dir.is_open_beyond(stranger, trusted)) =>
        {
            Verdict::Obeyed
        }
        FileDiscovery::Here(_) | FileDiscovery::Above(_) | FileDiscovery::Beside => {
            Verdict::Refused(stranger)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 1000;
    const OTHER: u32 = 1001;

    fn dir(owner: u32, mode: u32) -> DirAccess {
        DirAccess { owner, group: owner, mode }
    }

    fn verdict(user: u32, owners: &[u32], discovery: &FileDiscovery) -> Verdict {
        let mut sources = ConfigSources { user: Some(user), ..ConfigSources::default() };
        sources.env.insert("SUDO_UID".to_owned(), "1000".to_owned());
        judge(&owners.iter().copied().collect(), discovery, &TrustedUsers::new(&sources))
    }

    #[test]
    fn own_files_and_those_of_root_are_obeyed_everywhere() {
        let public = dir(OTHER, 0o1777);
        let above = FileDiscovery::Above(vec![dir(ME, 0o755), public]);
        for discovery in
            [FileDiscovery::Named, FileDiscovery::Here(public), above, FileDiscovery::Beside]
        {
            assert_eq!(verdict(ME, &[ME], &discovery), Verdict::Obeyed, "{discovery:?}");
            assert_eq!(verdict(ME, &[ROOT], &discovery), Verdict::Obeyed, "{discovery:?}");
            assert_eq!(verdict(ROOT, &[ME], &discovery), Verdict::Obeyed, "the caller of sudo");
        }
    }

    #[test]
    fn a_file_of_another_user_here_is_noted_unless_others_can_write_the_directory() {
        let here = |dir| verdict(ME, &[OTHER], &FileDiscovery::Here(dir));
        assert_eq!(here(dir(OTHER, 0o755)), Verdict::Noted(OTHER));
        assert_eq!(here(dir(OTHER, 0o775)), Verdict::Noted(OTHER), "a group of one user");
        assert_eq!(here(dir(ME, 0o755)), Verdict::Noted(OTHER), "in a directory of the user");
        let refused = Verdict::RefusedInOpenDir(OTHER);
        assert_eq!(here(dir(OTHER, 0o777)), refused);
        assert_eq!(here(dir(ROOT, 0o1777)), refused, "a sticky directory");
        assert_eq!(here(dir(1002, 0o755)), refused, "its owner can write it");
        assert_eq!(here(DirAccess { group: 50, ..dir(OTHER, 0o775) }), refused, "a group");
    }

    #[test]
    fn a_file_above_of_another_user_is_obeyed_only_below_their_own_directories() {
        let above =
            |dirs: &[DirAccess]| verdict(ROOT, &[OTHER], &FileDiscovery::Above(dirs.to_vec()));
        let own = dir(OTHER, 0o755);
        assert_eq!(above(&[own, own, own]), Verdict::Obeyed);
        for strange in [dir(ROOT, 0o755), dir(ME, 0o755), dir(OTHER, 0o777)] {
            assert_eq!(above(&[strange, own]), Verdict::Refused(OTHER), "{strange:?}");
            assert_eq!(above(&[own, strange]), Verdict::Refused(OTHER), "{strange:?}");
        }
    }

    #[test]
    fn a_file_of_several_other_users_is_obeyed_only_on_purpose() {
        let owners = [OTHER, 1002];
        let own = dir(OTHER, 0o755);
        for discovery in
            [FileDiscovery::Here(own), FileDiscovery::Above(vec![own]), FileDiscovery::Beside]
        {
            assert_eq!(verdict(ME, &owners, &discovery), Verdict::Refused(OTHER), "{discovery:?}");
        }
        let open = FileDiscovery::Here(dir(OTHER, 0o777));
        assert_eq!(verdict(ME, &owners, &open), Verdict::RefusedInOpenDir(OTHER));
        assert_eq!(verdict(ME, &owners, &FileDiscovery::Named), Verdict::Obeyed);
    }

    #[test]
    fn nothing_is_proved_by_no_directory() {
        assert_eq!(verdict(ME, &[OTHER], &FileDiscovery::Above(vec![])), Verdict::Refused(OTHER));
    }

    #[test]
    fn every_link_is_judged_and_sudo_counts_for_root_only() {
        let here = FileDiscovery::Here(dir(ROOT, 0o1777));
        assert_eq!(verdict(ME, &[ME, OTHER], &here), Verdict::RefusedInOpenDir(OTHER));
        assert_eq!(verdict(ME, &[OTHER], &FileDiscovery::Beside), Verdict::Refused(OTHER));
        assert_eq!(verdict(ME, &[OTHER], &FileDiscovery::Named), Verdict::Obeyed, "on purpose");
        assert_eq!(verdict(OTHER, &[ME], &FileDiscovery::Beside), Verdict::Refused(ME));
    }

    #[test]
    fn who_owns_the_configuration_is_trusted_with_its_other_files() {
        let sources = ConfigSources { user: Some(ME), ..ConfigSources::default() };
        let mut trusted = TrustedUsers::new(&sources);
        trusted.add(&BTreeSet::from([OTHER]));
        let owners = BTreeSet::from([OTHER, ME]);
        assert_eq!(judge(&owners, &FileDiscovery::Beside, &trusted), Verdict::Obeyed);
        let all = TrustedUsers::new(&ConfigSources::default());
        assert_eq!(judge(&owners, &FileDiscovery::Beside, &all), Verdict::Obeyed);
    }
}
