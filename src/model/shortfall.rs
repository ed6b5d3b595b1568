use std::fmt;

/// How many services of a stack are not as they should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shortfall {
    /// How many were requested.
    pub all: usize,
    /// How many failed, or are unhealthy.
    pub failed: usize,
    /// How many exited as if they were tasks.
    pub exited: usize,
    /// How many run, but were not ready in time.
    pub late: usize,
    /// How many wait for these.
    pub blocked: usize,
}

impl Shortfall {
    /// Whether every service is as it should be.
    pub fn is_none(&self) -> bool {
        self.failed + self.exited + self.late + self.blocked == 0
    }
}

/// `1 of 3 failed`, or `1 failed, 2 wait for it`.
impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortfall { all, failed, exited, late, blocked } = *self;
        let of = [(failed, "failed"), (exited, "exited"), (late, "not ready yet")];
        let of: Vec<_> = of.into_iter().filter(|(count, _)| *count > 0).collect();
        match (of.as_slice(), blocked) {
            ([], 0) => return write!(f, "0 of {all} failed"),
            ([], _) => return write!(f, "{blocked} of {all} blocked"),
            ([(count, what)], 0) => return write!(f, "{count} of {all} {what}"),
            (_, _) => {}
        }
        let each: Vec<String> = of.iter().map(|(count, what)| format!("{count} {what}")).collect();
        f.write_str(&each.join(", "))?;
        let them = if failed + exited + late == 1 { "it" } else { "them" };
        match blocked {
            0 => Ok(()),
            1 => write!(f, ", 1 waits for {them}"),
            _ => write!(f, ", {blocked} wait for {them}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shortfall;

    #[test]
    fn what_waits_is_not_counted_as_failed() {
        let text = |failed, late, blocked| {
            Shortfall { all: 5, failed, exited: 0, late, blocked }.to_string()
        };
        assert_eq!(text(1, 0, 0), "1 of 5 failed");
        assert_eq!(text(0, 2, 0), "2 of 5 not ready yet");
        assert_eq!(text(0, 0, 1), "1 of 5 blocked");
        assert_eq!(text(1, 0, 1), "1 failed, 1 waits for it");
        assert_eq!(text(2, 0, 2), "2 failed, 2 wait for them");
        assert_eq!(text(0, 1, 3), "1 not ready yet, 3 wait for it");
        assert_eq!(text(1, 1, 0), "1 failed, 1 not ready yet");
        assert_eq!(text(1, 1, 1), "1 failed, 1 not ready yet, 1 waits for them");
        let exited = |failed| Shortfall { all: 5, failed, exited: 1, ..Shortfall::default() };
        assert_eq!(exited(0).to_string(), "1 of 5 exited");
        assert_eq!(exited(2).to_string(), "2 failed, 1 exited");
    }
}
