use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// What services inherit: devstack's own environment as it was at the start, and what makes programs
/// behave well when their output is a pipe.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    base: BTreeMap<OsString, OsString>,
    color: bool,
}

impl Environment {
    /// `color`: devstack writes to a terminal that shows colours.
    pub fn new(vars: impl Iterator<Item = (OsString, OsString)>, color: bool) -> Environment {
        Environment { base: vars.collect(), color }
    }

    /// The complete environment of a service, sorted by name: `own` over what is inherited, and under
    /// both what nobody decided.
    pub fn of<'a>(
        &'a self,
        own: &'a BTreeMap<String, String>,
        dir: &'a Path,
    ) -> BTreeMap<&'a OsStr, &'a OsStr> {
        let base = self.base.iter().map(|(k, v)| (k.as_os_str(), v.as_os_str()));
        let mut all: BTreeMap<&OsStr, &OsStr> = base.collect();
        // As a shell does when it changes folder; programs trust it to know by which link they came.
        all.insert(OsStr::new("PWD"), dir.as_os_str());
        all.extend(own.iter().map(|(k, v)| (OsStr::new(k), OsStr::new(v))));
        let one = OsStr::new("1");
        // Python holds back lines for a pipe, and a log that comes late is no log.
        all.entry(OsStr::new("PYTHONUNBUFFERED")).or_insert(one);
        let decided = ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR"];
        if self.color && !decided.iter().any(|name| all.contains_key(OsStr::new(name))) {
            all.insert(OsStr::new("FORCE_COLOR"), one);
            all.insert(OsStr::new("CLICOLOR_FORCE"), one);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(base: &[(&str, &str)], own: &[(&str, &str)], color: bool) -> String {
        let base = base.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
        let environment = Environment::new(base, color);
        let own = own.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let all = environment.of(&own, Path::new("/d"));
        let text = |(k, v): (&OsStr, &OsStr)| format!("{}={}", k.display(), v.display());
        all.into_iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_service_has_the_last_word() {
        assert_eq!(
            of(&[("A", "1"), ("B", "1")], &[("B", "2")], false),
            "A=1 B=2 PWD=/d PYTHONUNBUFFERED=1"
        );
        let own = &[("PWD", "/x"), ("PYTHONUNBUFFERED", "")];
        assert_eq!(of(&[("PWD", "/old")], own, false), "PWD=/x PYTHONUNBUFFERED=");
    }

    #[test]
    fn colours_only_when_nobody_decided() {
        assert!(of(&[], &[], true).starts_with("CLICOLOR_FORCE=1 FORCE_COLOR=1"));
        for name in ["NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR"] {
            let only = format!("{name}=0 PWD=/d PYTHONUNBUFFERED=1");
            assert_eq!(of(&[(name, "0")], &[], true), only);
            assert_eq!(of(&[], &[(name, "0")], true), only);
        }
    }
}
