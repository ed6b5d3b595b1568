use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::model::LaunchEnv;
use crate::process::cleanup::TOKEN_VAR;

/// What a service manager tells devstack: its sockets, and that it wants to hear from it.
const SERVICE_MANAGER_VARS: [&str; 7] = [
    "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
    "WATCHDOG_PID", "WATCHDOG_USEC",
];

/// Working directory by the path it was reached by, symlinks included.
const PWD: &str = "PWD";

/// What services inherit: devstack's environment at its start, plus defaults that make programs
/// behave well when their output is a pipe.
#[derive(Clone)]
pub struct InheritedEnv {
    base: BTreeMap<OsString, OsString>,
    color: bool,
    /// Marks every process of this stack, so that orphans can be found later.
    token: String,
}

/// Where a variable has its value from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvProvider {
    /// devstack's own environment.
    Inherited,
    /// The configuration of the service.
    Service,
    /// devstack, because neither of the others sets it.
    Default,
}

impl InheritedEnv {
    /// `color`: devstack writes to a terminal with colors.
    pub(crate) fn new(
        vars: impl Iterator<Item = (OsString, OsString)>,
        color: bool,
        token: String,
    ) -> InheritedEnv {
        // What the manager says is for devstack itself; directory and token differ per process.
        let not_inherited = |name: &OsStr| {
            SERVICE_MANAGER_VARS.iter().chain(&[PWD, TOKEN_VAR]).any(|theirs| name == *theirs)
        };
        let base = vars.filter(|(name, _)| !not_inherited(name)).collect();
        InheritedEnv { base, color, token }
    }

    /// What services would inherit from a devstack started by this process, without colors.
    pub fn current() -> InheritedEnv {
        InheritedEnv::new(std::env::vars_os(), false, String::new())
    }

    /// Returns the complete environment of a process, sorted by name. `terminal`: it gets a pty.
    pub(super) fn complete<'a>(
        &'a self,
        own: &'a LaunchEnv,
        dir: &'a Path,
        terminal: bool,
    ) -> BTreeMap<&'a OsStr, &'a OsStr> {
        // As a shell does on `cd`: programs trust it to know the symlink they came by.
        let mut all = BTreeMap::from([(OsStr::new(PWD), dir.as_os_str())]);
        all.extend(
            self.with_providers(own, terminal).into_iter().map(|(name, (value, _))| (name, value)),
        );
        // The service cannot override it.
        all.insert(OsStr::new(TOKEN_VAR), OsStr::new(&self.token));
        all
    }

    /// The environment of a service without the variables that differ per process, with the
    /// provider of each value: `own` overrides what is inherited, and both override the defaults.
    pub fn with_providers<'a>(
        &'a self,
        own: &'a LaunchEnv,
        terminal: bool,
    ) -> BTreeMap<&'a OsStr, (&'a OsStr, EnvProvider)> {
        let base = self.base.iter();
        let base = base.map(|(k, v)| (k.as_os_str(), (v.as_os_str(), EnvProvider::Inherited)));
        let mut all: BTreeMap<&OsStr, (&OsStr, EnvProvider)> = base.collect();
        let own = own.iter().map(|(k, v)| (OsStr::new(k), (OsStr::new(v), EnvProvider::Service)));
        all.extend(own.filter(|(name, _)| *name != TOKEN_VAR));
        let one = (OsStr::new("1"), EnvProvider::Default);
        // Python buffers output to a pipe, which would delay the log.
        all.entry(OsStr::new("PYTHONUNBUFFERED")).or_insert(one);
        if terminal {
            // Understood by nearly every terminal.
            let term = (OsStr::new("xterm-256color"), EnvProvider::Default);
            all.entry(OsStr::new("TERM")).or_insert(term);
        }
        let decided = ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR"];
        if self.color && !decided.iter().any(|name| all.contains_key(OsStr::new(name))) {
            all.insert(OsStr::new("FORCE_COLOR"), one);
            all.insert(OsStr::new("CLICOLOR_FORCE"), one);
        }
        all
    }

    /// Returns the value a service inherits unless its configuration sets one.
    pub fn inherited(&self, name: &str) -> Option<&OsStr> {
        self.base.get(OsStr::new(name)).map(OsString::as_os_str)
    }
}

/// Not derived: the environment may hold passwords.
impl std::fmt::Debug for InheritedEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(base: &[(&str, &str)], own: &[(&str, &str)], color: bool) -> String {
        let base = base.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
        let environment = InheritedEnv::new(base, color, "t".to_owned());
        let own = own.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let all = environment.complete(&own, Path::new("/d"), false);
        let text = |(k, v): (&OsStr, &OsStr)| format!("{}={}", k.display(), v.display());
        all.into_iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_service_has_the_last_word() {
        assert_eq!(
            of(&[("A", "1"), ("B", "1")], &[("B", "2")], false),
            "A=1 B=2 DEVSTACK_RUN=t PWD=/d PYTHONUNBUFFERED=1"
        );
        let own = &[("PWD", "/x"), ("PYTHONUNBUFFERED", ""), ("DEVSTACK_RUN", "x")];
        assert_eq!(of(&[("PWD", "/old")], own, false), "DEVSTACK_RUN=t PWD=/x PYTHONUNBUFFERED=");
    }

    #[test]
    fn what_a_service_manager_says_is_not_passed_on() {
        for name in SERVICE_MANAGER_VARS {
            assert!(!of(&[(name, "1")], &[], false).contains(name));
            assert!(of(&[(name, "1")], &[(name, "2")], false).contains(&format!("{name}=2")));
        }
    }

    #[test]
    fn colors_are_forced_unless_decided() {
        assert!(of(&[], &[], true).starts_with("CLICOLOR_FORCE=1 DEVSTACK_RUN=t FORCE_COLOR=1"));
        for name in ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR"] {
            for all in [of(&[(name, "0")], &[], true), of(&[], &[(name, "0")], true)] {
                assert!(all.contains(&format!("{name}=0")), "{all}");
                assert_eq!(all.matches('=').count(), 4, "{all}");
            }
        }
    }
}
