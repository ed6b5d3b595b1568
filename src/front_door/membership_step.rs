//! What a stack does next to be served. Decides, and does nothing.

use std::time::Duration;

/// How an attempt to be served ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JoinOutcome {
    /// There is no front door.
    Absent,
    /// The stack was served until the front door was gone.
    Ended,
    /// The front door does not serve it: why.
    Refused(String),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MembershipStep {
    /// Try again after this time.
    Join(Duration),
    /// Start a front door after this time, then try again.
    Start(Duration),
    /// Tell the user why there are no names, then try again after a long time.
    GiveUp(String),
}

/// The attempts since the stack was last served.
#[derive(Debug, Default)]
pub(super) struct JoinAttempts {
    failed: u32,
    /// Why the last front door did not serve it. That one may have ended since.
    refusal: Option<String>,
}

/// So many attempts are made in quick succession: within about three seconds.
const MOST_FAILED: u32 = 8;
/// The first delay; each is twice the one before.
const FIRST_DELAY: Duration = Duration::from_millis(10);

impl JoinAttempts {
    /// Decides what follows an attempt.
    pub fn after(&mut self, outcome: JoinOutcome) -> MembershipStep {
        if outcome == JoinOutcome::Ended {
            *self = JoinAttempts::default();
            return MembershipStep::Join(Duration::ZERO);
        }
        self.failed += 1;
        let delay = match self.failed {
            1 => Duration::ZERO,
            failed => FIRST_DELAY * 2u32.pow(failed.min(MOST_FAILED) - 1),
        };
        let is_absent = outcome == JoinOutcome::Absent;
        if let JoinOutcome::Refused(why) = outcome {
            self.refusal = Some(why);
        }
        match is_absent {
            _ if self.failed > MOST_FAILED => {
                let why = self.refusal.clone();
                MembershipStep::GiveUp(why.unwrap_or_else(|| "the proxy does not start".to_owned()))
            }
            true => MembershipStep::Start(delay),
            false => MembershipStep::Join(delay),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_door_is_replaced_at_once() {
        let mut attempts = JoinAttempts::default();
        assert_eq!(attempts.after(JoinOutcome::Ended), MembershipStep::Join(Duration::ZERO));
        assert_eq!(attempts.after(JoinOutcome::Absent), MembershipStep::Start(Duration::ZERO));
    }

    #[test]
    fn failures_are_bounded_and_forgotten() {
        let mut attempts = JoinAttempts::default();
        let refused = || JoinOutcome::Refused("port 7780 is in use".to_owned());
        let mut waited = Duration::ZERO;
        for _ in 0..MOST_FAILED {
            let MembershipStep::Join(delay) = attempts.after(refused()) else { panic!("tries") };
            waited += delay;
        }
        assert!(waited < Duration::from_secs(3), "{waited:?}");
        assert_eq!(
            attempts.after(refused()),
            MembershipStep::GiveUp("port 7780 is in use".to_owned())
        );
        let again = attempts.after(JoinOutcome::Absent);
        assert_eq!(again, MembershipStep::GiveUp("port 7780 is in use".to_owned()));
        attempts.after(JoinOutcome::Ended);
        assert_eq!(attempts.after(refused()), MembershipStep::Join(Duration::ZERO));
    }
}
