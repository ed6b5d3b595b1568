use std::fmt;

use crate::model::Name;

/// Where log lines come from; each origin has its own files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogOrigin {
    Devstack,
    Service(Name),
}

/// File stem of devstack itself, which is not a valid service name.
const DEVSTACK: &str = "_devstack";

impl LogOrigin {
    pub fn file_stem(&self) -> &str {
        match self {
            LogOrigin::Devstack => DEVSTACK,
            LogOrigin::Service(name) => name.as_str(),
        }
    }

    pub fn from_file_stem(stem: &str) -> Option<LogOrigin> {
        match stem {
            DEVSTACK => Some(LogOrigin::Devstack),
            stem => Name::new(stem).ok().map(LogOrigin::Service),
        }
    }

    pub fn service(&self) -> Option<&Name> {
        match self {
            LogOrigin::Devstack => None,
            LogOrigin::Service(name) => Some(name),
        }
    }
}

impl fmt::Display for LogOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogOrigin::Devstack => f.write_str("devstack itself"),
            LogOrigin::Service(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_whose_they_are_and_no_service_takes_those_of_devstack() {
        let api = LogOrigin::Service(Name::new("api").unwrap());
        for origin in [api, LogOrigin::Devstack] {
            assert_eq!(LogOrigin::from_file_stem(origin.file_stem()), Some(origin));
        }
        assert_eq!(LogOrigin::from_file_stem("A"), None);
        assert!(Name::new(DEVSTACK).is_err());
    }
}
