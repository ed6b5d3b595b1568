use std::fs::File;
use std::io;

use crate::regular_file::open_null;

/// Enough for the commands that find out what is wrong and stop something.
const MOST: usize = 8;

/// File descriptors reserved for clients, so that a devstack whose services use up the limit of
/// open files can still be queried and stopped.
#[derive(Debug, Default)]
pub(crate) struct ReservedFds(Vec<File>);

impl ReservedFds {
    /// Reserves all descriptors, or as many as the system provides.
    pub fn filled() -> ReservedFds {
        let mut spare = ReservedFds::default();
        spare.refill();
        spare
    }

    pub fn refill(&mut self) {
        while self.0.len() < MOST
            && let Ok(file) = open_null()
        {
            self.0.push(file);
        }
    }

    /// Releases one descriptor if `error` means that none are available. Returns whether it did.
    pub fn release_one(&mut self, error: &io::Error) -> bool {
        let none = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
        none && self.0.pop().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lack_of_descriptors_is_helped_and_not_for_ever() {
        let mut spare = ReservedFds::default();
        let [lack, other] = [libc::EMFILE, libc::ECONNABORTED].map(io::Error::from_raw_os_error);
        assert!(!spare.release_one(&lack));
        spare.refill();
        spare.refill();
        assert!(!spare.release_one(&other));
        let given = (0..100).take_while(|_| spare.release_one(&lack)).count();
        assert_eq!(given, MOST);
        spare.refill();
        assert!(spare.release_one(&lack));
    }
}
