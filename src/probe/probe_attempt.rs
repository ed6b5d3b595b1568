use std::io;

use crate::model::ListenAddress;
use crate::ports::PortHolder;

/// What one attempt of a probe saw.
#[derive(Debug)]
pub(super) enum ProbeAttempt {
    /// The probe succeeded; what was seen, as in `GET /health returned 200`.
    Held(String),
    /// The probe succeeded, and the run listens on its port at these addresses.
    HeldAt(String, Vec<ListenAddress>),
    /// The probe failed, and why.
    Failed(String),
    NotListening(u16),
    /// Another process is listening on this port.
    Foreign(u16, Box<PortHolder>),
    /// devstack hit a limit of its own and could not try.
    Limited(io::Error),
}

impl ProbeAttempt {
    /// Classifies an error: only running out of descriptors or memory is devstack's own.
    pub fn of_error(error: io::Error, what: impl Into<String>) -> ProbeAttempt {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS) => ProbeAttempt::Limited(error),
            Some(_) | None => ProbeAttempt::Failed(what.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_descriptors_is_no_failure_of_the_service() {
        let of = |code| ProbeAttempt::of_error(io::Error::from_raw_os_error(code), "refused");
        assert!(matches!(of(libc::EMFILE), ProbeAttempt::Limited(_)));
        assert!(matches!(of(libc::ENFILE), ProbeAttempt::Limited(_)));
        assert!(matches!(of(libc::ECONNREFUSED), ProbeAttempt::Failed(_)));
    }
}
