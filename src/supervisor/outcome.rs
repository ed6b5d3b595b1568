//! How the stack ended.

/// How the stack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackOutcome {
    /// The exit code.
    pub code: i32,
    /// Whether it is proven that no process is left.
    pub proved: bool,
}
