//! How a stack ended.

/// How a stack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code.
    pub code: i32,
    /// Whether it is proved that no process of it is left.
    pub proved: bool,
}
