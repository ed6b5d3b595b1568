use std::fmt;

use crate::model::Name;

/// Where log lines come from; each origin has its own files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Voice {
    Devstack,
    Service(Name),
}

/// File stem of devstack itself, which is not a valid service name.
const DEVSTACK: &str = "_devstack";

impl Voice {
    pub fn stem(&self) -> &str {
        match self {
            Voice::Devstack => DEVSTACK,
            Voice::Service(name) => name.as_str(),
        }
    }

    pub fn of_stem(stem: &str) -> Option<Voice> {
        match stem {
            DEVSTACK => Some(Voice::Devstack),
            stem => Name::new(stem).ok().map(Voice::Service),
        }
    }

    pub fn service(&self) -> Option<&Name> {
        match self {
            Voice::Devstack => None,
            Voice::Service(name) => Some(name),
        }
    }
}

impl fmt::Display for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Voice::Devstack => f.write_str("devstack itself"),
            Voice::Service(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_whose_they_are_and_no_service_takes_those_of_devstack() {
        let api = Voice::Service(Name::new("api").unwrap());
        for voice in [api, Voice::Devstack] {
            assert_eq!(Voice::of_stem(voice.stem()), Some(voice));
        }
        assert_eq!(Voice::of_stem("A"), None);
        assert!(Name::new(DEVSTACK).is_err());
    }
}
