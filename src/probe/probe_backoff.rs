use std::time::Duration;

/// The pause after the first connection attempt: a server that binds late is seen soon.
pub(super) const FIRST: Duration = Duration::from_millis(5);

/// The pause after the first run of a command: each attempt costs a process.
pub(super) const FIRST_EXEC: Duration = Duration::from_millis(50);

/// The pauses between attempts: doubling up to `longest`, without end.
#[derive(Debug, Clone)]
pub(super) struct ProbeBackoff {
    next: Duration,
    longest: Duration,
}

impl ProbeBackoff {
    /// Starts with `first`. `longest` is at least a millisecond.
    pub fn new(first: Duration, longest: Duration) -> ProbeBackoff {
        let longest = longest.max(Duration::from_millis(1));
        ProbeBackoff { next: first.min(longest), longest }
    }
}

impl Iterator for ProbeBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let ms = |first, longest| {
            let pauses =
                ProbeBackoff::new(Duration::from_millis(first), Duration::from_millis(longest))
                    .take(8);
            pauses.map(|pause| pause.as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(ms(5, 250), [5, 10, 20, 40, 80, 160, 250, 250]);
        assert_eq!(ms(5, 2), [2; 8]);
        assert_eq!(ms(5, 0), [1; 8]);
    }
}
