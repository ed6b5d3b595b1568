//! A limit for calls that change the stack: an agent in a loop must not restart it all the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::model::{Message, MessageClass};

/// How many calls per [`WINDOW`] may change something.
const MOST: usize = 30;
const WINDOW: Duration = Duration::from_secs(60);

/// When the latest changes were asked for.
#[derive(Debug, Default)]
pub(super) struct MutationLimit(VecDeque<Instant>);

impl MutationLimit {
    /// Counts one more call.
    ///
    /// # Errors
    /// There were too many (class `limit`).
    pub fn count(&mut self, now: Instant) -> Result<(), Message> {
        while self.0.front().is_some_and(|&at| now.duration_since(at) >= WINDOW) {
            self.0.pop_front();
        }
        if self.0.len() >= MOST {
            let free = self.0.front().map_or(WINDOW, |&at| WINDOW - now.duration_since(at));
            let text = format!("more than {MOST} changes of the stack within a minute");
            let help = format!(
                "find the cause with `why` and `logs`; try again in {}s",
                free.as_secs() + 1
            );
            return Err(Message::new(MessageClass::Limit, text).help(help));
        }
        self.0.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_of_changes_is_stopped_for_a_while() {
        let (start, mut limit) = (Instant::now(), MutationLimit::default());
        assert!((0..MOST).all(|_| limit.count(start).is_ok()));
        let refused = limit.count(start + Duration::from_secs(50)).unwrap_err();
        assert!(refused.help.ends_with("try again in 11s"), "{}", refused.help);
        assert!(limit.count(start + WINDOW).is_ok());
    }
}
