use std::fmt;

use crate::model::Name;

/// Where log lines come from; each source has its own files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogSource {
    Devstack,
    Service(Name),
}

/// File stem of devstack itself, which is not a valid service name.
const DEVSTACK: &str = "_devstack";

impl LogSource {
    pub fn file_stem(&self) -> &str {
        match self {
            LogSource::Devstack => DEVSTACK,
            LogSource::Service(name) => name.as_str(),
        }
    }

    pub fn from_file_stem(stem: &str) -> Option<LogSource> {
        match stem {
            DEVSTACK => Some(LogSource::Devstack),
            stem => Name::new(stem).ok().map(LogSource::Service),
        }
    }

    pub fn service(&self) -> Option<&Name> {
        match self {
            LogSource::Devstack => None,
            LogSource::Service(name) => Some(name),
        }
    }
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogSource::Devstack => f.write_str("devstack itself"),
            LogSource::Service(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_whose_they_are_and_no_service_takes_those_of_devstack() {
        let api = LogSource::Service(Name::new("api").unwrap());
        for source in [api, LogSource::Devstack] {
            assert_eq!(LogSource::from_file_stem(source.file_stem()), Some(source));
        }
        assert_eq!(LogSource::from_file_stem("A"), None);
        assert!(Name::new(DEVSTACK).is_err());
    }
}
