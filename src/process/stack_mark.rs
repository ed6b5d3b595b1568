//! The marks of a stack's runs, which its processes carry where the system can mark them.

use crate::model::RunId;
use crate::sys::run_mark;

/// The low bits of a mark hold the number of the run, those above them the stack.
const RUN_BITS: u32 = 22;
/// In hexadecimal digits: 40 bits of a token, which is random.
const STACK_DIGITS: usize = 10;

/// Identifies the processes of a stack, whatever they did to their environment, session and
/// descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StackMark(u64);

impl StackMark {
    /// Returns the mark of the stack with this token; `None` if it is not one of devstack.
    pub fn of_token(token: &str) -> Option<StackMark> {
        let digits = token.get(..STACK_DIGITS)?;
        let bits = u64::from_str_radix(digits, 16).ok()?;
        // Zero is the limit of a process that may not lock files.
        Some(StackMark(bits.max(1)))
    }

    /// Returns the mark of a run. Services, which are numbered up from zero, and short commands,
    /// numbered down from the highest number, have a half each, of two million.
    pub fn run(self, run: RunId) -> u64 {
        let half = run.0 >> 63;
        let number = run.0 & ((1 << (RUN_BITS - 1)) - 1);
        (self.0 << RUN_BITS) | (half << (RUN_BITS - 1)) | number
    }

    /// Whether the process carries a mark of this stack.
    pub fn is_on(self, pid: u32) -> bool {
        run_mark::of(pid).is_some_and(|mark| mark >> RUN_BITS == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_differ_by_stack_and_run_and_are_never_the_default() {
        let [one, two] = ["00000000000123456789abcdef012345", "ffffffffff0123456789abcdef012345"]
            .map(|token| StackMark::of_token(token).expect("is a token"));
        let marks: std::collections::BTreeSet<u64> = [one, two]
            .iter()
            .flat_map(|stack| [0, 1, u64::MAX, u64::MAX - 1].map(|run| stack.run(RunId(run))))
            .collect();
        assert_eq!(marks.len(), 8);
        assert!(marks.iter().all(|mark| *mark > 0 && *mark <= u64::MAX >> 2));
        for foreign in ["", "token-of-nobody", "0123"] {
            assert_eq!(StackMark::of_token(foreign), None);
        }
    }
}
