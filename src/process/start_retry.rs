use std::time::{Duration, Instant};

/// How often and for how long a program that a build is still writing is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
const BUSY_MAX: Duration = Duration::from_secs(2);

/// How often at first, and for how long, a process is tried again that the system has no room for.
const FULL_PAUSE: Duration = Duration::from_millis(20);
const FULL_PAUSE_MAX: Duration = Duration::from_secs(1);
const FULL_MAX: Duration = Duration::from_secs(10);

/// Whether a start that failed is tried again: some reasons pass.
#[derive(Debug)]
pub(super) struct StartRetry {
    began: Instant,
    next_pause: Duration,
}

impl StartRetry {
    pub fn new(now: Instant) -> StartRetry {
        StartRetry { began: now, next_pause: FULL_PAUSE }
    }

    /// Returns the pause before the next attempt; `None`: the error counts.
    pub fn pause(&mut self, errno: i32, now: Instant) -> Option<Duration> {
        let (pause, max) = match errno {
            libc::ETXTBSY => (BUSY_PAUSE, BUSY_MAX),
            libc::EAGAIN => {
                let pause = self.next_pause;
                self.next_pause = (pause * 2).min(FULL_PAUSE_MAX);
                (pause, FULL_MAX)
            }
            _ => return None,
        };
        (now.saturating_duration_since(self.began) < max).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again_and_not_for_ever() {
        let begin = Instant::now();
        let mut retry = StartRetry::new(begin);
        let mut at = |errno, after| {
            retry.pause(errno, begin + Duration::from_millis(after)).map(|pause| pause.as_millis())
        };
        assert_eq!(at(libc::ENOENT, 0), None);
        assert_eq!(at(libc::ETXTBSY, 0), Some(20));
        assert_eq!(at(libc::ETXTBSY, 1999), Some(20));
        assert_eq!(at(libc::ETXTBSY, 2000), None);
        let pauses: Vec<_> = (0..8).map(|_| at(libc::EAGAIN, 5000)).collect();
        assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1000, 1000].map(Some));
        assert_eq!(at(libc::EAGAIN, 10_000), None);
    }
}
