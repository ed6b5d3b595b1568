use std::fmt;

use crate::model::Name;

/// Who is in the log: each has files of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Voice {
    /// devstack itself.
    Devstack,
    /// A service.
    Service(Name),
}

/// What the files of devstack itself begin with: no service can be called that.
const DEVSTACK: &str = "_devstack";

impl Voice {
    /// What its files begin with.
    pub fn stem(&self) -> &str {
        match self {
            Voice::Devstack => DEVSTACK,
            Voice::Service(name) => name.as_str(),
        }
    }

    /// Whose files begin so.
    pub fn of_stem(stem: &str) -> Option<Voice> {
        match stem {
            DEVSTACK => Some(Voice::Devstack),
            stem => Name::new(stem).ok().map(Voice::Service),
        }
    }

    /// The service, if it is one.
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
