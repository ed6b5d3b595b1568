use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::DashboardToken;
use crate::sync::lock_unpoisoned;

/// How long a code can be exchanged.
const LIFE: Duration = Duration::from_secs(60);

/// How many codes can wait to be exchanged.
const MAX: usize = 16;

/// Codes that a browser exchanges for the token, each once. Other users see the arguments of the
/// command that opens the browser; the token is not among them.
#[derive(Default)]
pub(super) struct LaunchCodes(Mutex<Vec<(DashboardToken, Instant)>>);

impl LaunchCodes {
    pub fn issue(&self, now: Instant) -> io::Result<DashboardToken> {
        let code = DashboardToken::random()?;
        let mut codes = lock_unpoisoned(&self.0);
        codes.retain(|(_, until)| *until > now);
        if codes.len() >= MAX {
            codes.remove(0);
        }
        codes.push((code.clone(), now + LIFE));
        Ok(code)
    }

    /// Returns whether a code is valid; it no longer is.
    pub fn redeem(&self, code: &str, now: Instant) -> bool {
        let mut codes = lock_unpoisoned(&self.0);
        codes.retain(|(_, until)| *until > now);
        let before = codes.len();
        codes.retain(|(known, _)| !known.is(code.as_bytes()));
        codes.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_valid_once_and_for_a_minute() {
        let codes = LaunchCodes::default();
        let now = Instant::now();
        let code = codes.issue(now).unwrap();
        let other = codes.issue(now).unwrap();
        assert!(!codes.redeem("", now));
        assert!(codes.redeem(code.as_str(), now));
        assert!(!codes.redeem(code.as_str(), now));
        assert!(!codes.redeem(other.as_str(), now + LIFE));
        let many: Vec<_> = (0..=MAX).map(|_| codes.issue(now).unwrap()).collect();
        assert!(!codes.redeem(many[0].as_str(), now), "the oldest has made room");
        assert!(codes.redeem(many[MAX].as_str(), now));
    }
}
