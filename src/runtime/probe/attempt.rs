use std::io;

use crate::model::Address;

/// What one attempt of a probe saw.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It holds; what was seen, as in `GET /health answered 200`.
    Held(String),
    /// It holds, and the run listens on its port at these addresses.
    HeldAt(String, Vec<Address>),
    /// It does not hold; why.
    Failed(String),
    /// Nothing listens on this port.
    Nobody(u16),
    /// Somebody else listens on this port; who.
    Foreign(u16, String),
    /// devstack met a limit of its own and could not try.
    Limited(io::Error),
}

impl Attempt {
    /// From an error of devstack's own doing or of the service's: only running out of descriptors or memory
    /// is devstack's.
    pub fn of_error(error: io::Error, what: impl Into<String>) -> Attempt {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS) => Attempt::Limited(error),
            Some(_) | None => Attempt::Failed(what.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_descriptors_is_no_failure_of_the_service() {
        let of = |code| Attempt::of_error(io::Error::from_raw_os_error(code), "refused");
        assert!(matches!(of(libc::EMFILE), Attempt::Limited(_)));
        assert!(matches!(of(libc::ENFILE), Attempt::Limited(_)));
        assert!(matches!(of(libc::ECONNREFUSED), Attempt::Failed(_)));
    }
}
